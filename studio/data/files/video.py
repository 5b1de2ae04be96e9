"""Video files in and out, by PyAV (an extra: `pip install av`), frame by frame: no video is held in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from studio.core.errors import DataError, StudioError
from studio.data.files.limits import LIMITS, Limits
from studio.data.files.sound import Sound

#: suffix -> the one demuxer that may read it: a file never gets to choose another, such as a playlist's
CONTAINERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi",
}  # fmt: skip
ERRORS = (ValueError, OSError, LookupError, RuntimeError)  # PyAV's are of these kinds
CODECS = ("libx264", "libopenh264", "mpeg4")  # of what is written, the first that there is
MISSING = "Video needs PyAV, which is not installed. Install it with: pip install av"


@dataclass(frozen=True)
class Frame:
    """One frame: its number from 0, its time in seconds, the upright RGB image."""

    number: int
    time_s: float
    image: Image.Image


def is_video(path: Path) -> bool:
    return path.suffix.lower() in CONTAINERS


def frame_rate(path: Path) -> float:
    """Frames a second, on the mean. Raises as `frames`."""
    with _opened(path) as container:
        return float(container.streams.video[0].average_rate or 25)


def frame_count(path: Path) -> int | None:
    """About how many frames there are; None where the file does not say. Raises as `frames`."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        if stream.frames:
            return int(stream.frames)
        seconds = container.duration / 1e6 if container.duration else 0
        return round(seconds * float(stream.average_rate or 25)) or None


def frames(path: Path, every: int = 1, limits: Limits = LIMITS) -> Iterator[Frame]:
    """Each `every`-th frame. Raises DataError for what is no video or too large, StudioError without PyAV."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        if stream.width * stream.height > limits.pixels:
            raise DataError(f"{path.name}: its frames have too many pixels ({stream.width:,} x {stream.height:,}).")
        stream.thread_type = "AUTO"
        rate, number = float(stream.average_rate or 25), -1
        try:
            for number, frame in enumerate(container.decode(stream)):
                if number % every == 0:
                    at = number / rate if frame.time is None else frame.time
                    yield Frame(number, round(float(at), 4), _upright(frame))
        except ERRORS as error:
            raise DataError(f"{path.name} is damaged or cut short ({str(error)[:120]}).") from error
        if number < 0:
            raise DataError(f"{path.name} holds no frame that can be decoded; it is damaged or empty.")


class Writer:
    """Writes images of one size as an MP4; a context manager, and nothing is left of a video that broke off."""

    def __init__(self, path: Path, rate: float, sound_of: Path | None = None) -> None:
        """`rate`: frames a second. `sound_of`: a film whose sound is kept; `remark` says where that can't be."""
        self.path, self.rate, self.sound_of = path, rate, sound_of
        self.remark = ""
        self._written = 0
        self._sound: Sound | None = None
        self._part = path.with_name(path.name + ".part")
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> "Writer":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = _av().open(str(self._part), "w", format="mp4")
        return self

    def write(self, image: Image.Image) -> None:
        """The next frame; odd sides lose a row or column, which the codec can't hold."""
        av = _av()
        if self._stream is None:
            from fractions import Fraction

            codec = next(name for name in CODECS if name in av.codecs_available)
            self._stream = self._container.add_stream(codec, rate=Fraction(self.rate).limit_denominator(1001))
            self._stream.width, self._stream.height = (max(2, side // 2 * 2) for side in image.size)
            self._stream.pix_fmt = "yuv420p"
            self._sound = self._sound_beside()
        size = (self._stream.width, self._stream.height)
        pixels = np.ascontiguousarray(
            np.asarray(image if image.mode == "RGB" else image.convert("RGB"))[: size[1], : size[0]]
        )
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
            self._container.mux(packet)
        self._written += 1
        if self._sound is not None:
            self._sound.until(self._written / self.rate)

    def _sound_beside(self) -> Sound | None:
        """The sound of the other film, where it has one."""
        if self.sound_of is None:
            return None
        source = _opened(self.sound_of)
        stream = next(iter(source.streams.audio), None)
        if stream is not None and stream.codec_context is not None:
            return Sound(source, stream, self._container, self.path)
        if stream is not None:
            self.remark = f"The sound of {self.sound_of.name} is in a form that can't be read here, and was left out."
        source.close()
        return None

    def __exit__(self, kind: type[BaseException] | None, _: Any, __: TracebackType | None) -> None:
        if kind is None and self._stream is not None:
            for packet in self._stream.encode():
                self._container.mux(packet)
            if self._sound is not None:
                self._sound.close()
        self._container.close()
        if kind is None and self._stream is not None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)
            if self._sound is not None:
                self._sound.source.close()


def _opened(path: Path) -> Any:
    """The container, with the demuxer of its suffix alone."""
    av = _av()
    if not is_video(path):
        raise DataError(f"{path.name} is no video that is read here; expected {', '.join(CONTAINERS)}.")
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        container = av.open(str(path), format=CONTAINERS[path.suffix.lower()])
    except ERRORS as error:
        raise DataError(f"{path.name} can't be read as a video ({str(error)[:120]}).") from error
    if not container.streams.video:
        container.close()
        raise DataError(f"{path.name} holds no images, perhaps sound alone.")
    if container.streams.video[0].codec_context is None:
        container.close()
        raise DataError(f"{path.name}: its codec is not known here. Convert it, to H.264 in an MP4 for one.")
    return container


def _upright(frame: Any) -> Image.Image:
    """Phones store films lying, and say by how many degrees they are to be turned."""
    image = frame.to_image()
    angle = int(getattr(frame, "rotation", 0) or 0)
    return image.rotate(angle, expand=True) if angle else image


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise StudioError(MISSING) from error
    return av

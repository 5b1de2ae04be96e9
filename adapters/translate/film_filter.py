"""A film in another look, by ONNX Runtime, PyAV, NumPy and Pillow alone: nothing of the studio, no torch.

    pip install onnxruntime av numpy pillow
    python film_filter.py FILM.mp4 OUT.mp4 [--strength 0.7] [--steady 0.8] [--short-side 384] [--threads 2]

`model.onnx` and `film.json` lie beside this file. Each frame is brought to the short side, goes through the network,
in overlapping tiles where it is larger than one, and comes back at its own size and time. The sound is copied as it is.

An export leaves this file as it stands in the studio, which takes sizes, tiles and steadiness from it too: both give
the same frames.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

OVERLAP = 1 / 4  # of a tile's side that it shares with the next, at least
LONGEST = 4  # times the short side that the long one may be; beyond that a frame is squeezed
MOVES = 0.04  # a difference of neighbouring frames that is taken for motion, in parts of 255
AROUND = 5  # pixels a side over which such differences are averaged, against grain
FILE_ONLY = {"protocol_whitelist": "file"}  # what a film refers to elsewhere is not fetched

Network = Callable[[np.ndarray], np.ndarray]  # images float32 [1, 3, h, w] in -1..1 -> the same in the other look


class FilmError(Exception):
    """What is wrong with a film, in a sentence."""


@dataclass(frozen=True)
class Settings:
    """Pixels of the short side and of a tile, what sides are multiples of, and how much: `film.json`."""

    short_side: int
    tile: int
    stride: int
    strength: float = 1.0  # of the other look, 0..1
    steady: float = 0.0  # the weight of what was shown before, where nothing moves, 0 to below 1


def main() -> int:
    here = Path(__file__).resolve().parent
    settings = Settings(**json.loads((here / "film.json").read_text(encoding="utf-8")))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("out", type=Path, help="an .mp4, .mov or .mkv")
    parser.add_argument("--strength", type=_between(0, 1), default=settings.strength, help="of the other look, 0 to 1")
    parser.add_argument(
        "--steady", type=_between(0, 0.99), default=settings.steady, help="against flicker; 0.8 is much"
    )
    parser.add_argument(
        "--short-side", type=_between(32, 4096), default=settings.short_side, help="pixels of frames in the network"
    )
    parser.add_argument("--threads", type=int, default=0, help="of the network; 0: one a core")
    asked = parser.parse_args()
    settings = replace(settings, strength=asked.strength, steady=asked.steady, short_side=int(asked.short_side))
    try:
        for number in filter_film(asked.film, asked.out, onnx_network(here / "model.onnx", asked.threads), settings):
            print(f"\rframe {number}", end="", file=sys.stderr, flush=True)
    except FilmError as error:
        print(error, file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"{error}. It needs: pip install onnxruntime av numpy pillow", file=sys.stderr)
        return 2
    print(f"\n{asked.out}")
    return 0


def _between(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        if not low <= float(text) <= high:
            raise argparse.ArgumentTypeError(f"{text}: expected a number from {low:g} to {high:g}")
        return float(text)

    return read


def onnx_network(path: Path, threads: int = 0) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def filter_film(film: Path, out: Path, network: Network, settings: Settings) -> Iterator[int]:
    """Writes `film` in the other look to `out`, its sound and its times kept; yields how many frames are done.

    Raises FilmError where the film can't be read or `out` can't hold its sound; then no `out` is left.
    """
    import av

    if out.exists() and out.samefile(film):
        raise FilmError(f"{out} is the film itself; expected another name for what is written.")
    part = out.with_name(f"{out.stem}.part{out.suffix}")
    try:
        with av.open(str(film), options=FILE_ONLY) as source:
            size = _first_image(source).size
        with av.open(str(film), options=FILE_ONLY) as source, av.open(str(part), "w") as target:
            yield from _filtered(source, target, size, network, settings)
        part.replace(out)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise FilmError(f"{film.name} could not be read, or {out.name} not be written: {str(error)[:160]}") from error
    finally:
        part.unlink(missing_ok=True)


def _first_image(source: Any) -> Image.Image:
    images = next(iter(source.streams.video), None)
    if images is None or images.codec_context is None:
        raise FilmError("There are no images in it that can be decoded here. Convert it, to H.264 in an MP4 for one.")
    frame = next(source.decode(images), None)
    if frame is None:
        raise FilmError("No frame of it can be decoded; it is damaged or empty.")
    return _upright(frame)


def _filtered(source: Any, target: Any, size: tuple[int, int], network: Network, settings: Settings) -> Iterator[int]:
    """Frames of an opened film, (width, height) as `size`, into another; packets of sound go over as they come."""
    images, sound = source.streams.video[0], next(iter(source.streams.audio), None)
    made, copied = _stream_like(images, target, size), _sound_like(sound, target)
    images.thread_type = "AUTO"
    steady, done = Steady(settings.steady), 0
    for packet in source.demux([images] if copied is None else [images, sound]):
        if packet.stream.type == "audio":
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
            continue
        for frame in packet.decode():
            image = _upright(frame)
            pixels = steady(image, translated(image, network, settings))
            target.mux(made.encode(_frame(pixels[: made.height, : made.width], frame)))
            done += 1
            yield done
    target.mux(made.encode())


def _stream_like(images: Any, target: Any, size: tuple[int, int]) -> Any:
    """A stream for frames at the times of the film's; odd sides lose a row or column, which the codec can't hold."""
    import av

    codec = next(name for name in ("libx264", "libopenh264", "mpeg4") if name in av.codecs_available)
    made = target.add_stream(codec, rate=images.average_rate or 25)
    made.pix_fmt, (made.width, made.height) = "yuv420p", (max(2, side // 2 * 2) for side in size)
    made.codec_context.time_base = images.time_base
    return made


def _sound_like(sound: Any, target: Any) -> Any:
    """A stream that the film's sound is copied into; None where there is none."""
    if sound is None or sound.codec_context is None:
        return None
    name = sound.codec_context.name
    if name not in target.supported_codecs:
        raise FilmError(f"Its sound ({name}) can't be copied into such a file; expected a name that ends in .mkv.")
    return target.add_stream_from_template(sound)


def _upright(frame: Any) -> Image.Image:
    """Phones store films lying, and say by how many degrees they are to be turned."""
    image, angle = frame.to_image(), int(getattr(frame, "rotation", 0) or 0)
    return image.rotate(angle, expand=True) if angle else image


def _frame(pixels: np.ndarray, like: Any) -> Any:
    """A frame [H, W, 3] at the time of another."""
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame.pts, frame.time_base = like.pts, like.time_base
    return frame


def translated(image: Image.Image, network: Network, settings: Settings) -> np.ndarray:
    """Pixels uint8 [H, W, 3] of an RGB image in the other look, at its own size."""
    small = image.resize(canvas(image.size, settings.short_side), Image.Resampling.BICUBIC)
    images = np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    made = tiled(network, np.ascontiguousarray(images), settings.tile, settings.stride)
    mixed = images + settings.strength * (made - images)
    pixels = np.clip(np.rint((mixed[0] + 1) * 127.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.asarray(Image.fromarray(pixels).resize(image.size, Image.Resampling.BICUBIC))


def canvas(size: tuple[int, int], short: int) -> tuple[int, int]:
    """The size (width, height) of an image brought to a short side of `short` pixels, its shape kept."""
    width, height = size
    longest = LONGEST * short
    if width <= height:
        return short, min(longest, max(short, round(height * short / width)))
    return min(longest, max(short, round(width * short / height))), short


def tiled(network: Network, images: np.ndarray, tile: int, stride: int) -> np.ndarray:
    """The network's answer to images [1, 3, h, w], through tiles where they are larger than `tile` pixels a side.

    What the network sees has sides in multiples of `stride`: images are continued by their last pixels for that.
    """
    height, width = images.shape[-2:]
    (tall, tops), (wide, lefts) = (tiles_along(length, tile, stride) for length in (height, width))
    beyond = (max(0, tall - height), max(0, wide - width))
    images = np.pad(images, ((0, 0), (0, 0), (0, beyond[0]), (0, beyond[1])), mode="edge")
    total, weights = np.zeros_like(images), np.zeros(images.shape[-2:], np.float32)
    fade = np.outer(fading(tall), fading(wide))
    for top in tops:
        for left in lefts:
            place = (..., slice(top, top + tall), slice(left, left + wide))
            total[place] += fade * network(np.ascontiguousarray(images[place]))
            weights[place] += fade
    return (total / weights)[..., :height, :width]


def tiles_along(length: int, tile: int, stride: int) -> tuple[int, list[int]]:
    """The side of the tiles along a length, a multiple of `stride`, and where they begin: evenly, from end to end.

    One tile, which may reach beyond the end, where the length is no longer than `tile`.
    """
    side = max(stride, tile // stride * stride)
    if length <= side:
        return math.ceil(length / stride) * stride, [0]
    last = math.ceil((length - side) / (side * (1 - OVERLAP)))
    return side, [round(place * (length - side) / last) for place in range(last + 1)]


def fading(side: int) -> np.ndarray:
    """Weights of a tile's rows: evenly up over the overlap, level, evenly down; never 0."""
    place = np.arange(side, dtype=np.float32) + 0.5
    return np.minimum(np.minimum(place, side - place) / (side * OVERLAP), 1)


class Steady:
    """Films without flicker: where the film stands still, what was shown for the frame before lives on."""

    def __init__(self, steady: float) -> None:
        """`steady` in 0..1 is the weight of what was shown before; 0 leaves all as it is made."""
        self.steady = steady
        self._before: tuple[np.ndarray, np.ndarray] | None = None  # the frame before, and what was shown for it

    def __call__(self, image: Image.Image, made: np.ndarray) -> np.ndarray:
        """What is shown for the next frame, of which uint8 [H, W, 3] was made."""
        if not self.steady:
            return made
        frame, shown = np.asarray(image, np.float32), made.astype(np.float32)
        if self._before is not None and self._before[0].shape == frame.shape:
            shown = steadied(shown, self._before[1], frame, self._before[0], self.steady)
        self._before = frame, shown
        return np.clip(np.round(shown), 0, 255).astype(np.uint8)


def steadied(
    made: np.ndarray, made_before: np.ndarray, frame: np.ndarray, frame_before: np.ndarray, steady: float
) -> np.ndarray:
    """All float [H, W, 3] in 0..255: a mean over time whose weight falls where the film moves.

    out_t = (1 - w) made_t + w out_(t-1) with w = steady * exp(-(d / 0.04)^2), d the difference of the two frames around
    a pixel in parts of their range.
    """
    difference = _mean_around(np.abs(frame - frame_before).mean(axis=2) / 255)
    weight = steady * np.exp(-((difference / MOVES) ** 2))[..., None]
    return (1 - weight) * made + weight * made_before


def _mean_around(values: np.ndarray) -> np.ndarray:
    """The mean of the AROUND x AROUND values [H, W] around each, mirrored at the rim."""
    padded = np.pad(values, AROUND // 2, mode="symmetric")
    for axis in (0, 1):
        padded = np.lib.stride_tricks.sliding_window_view(padded, AROUND, axis=axis).mean(axis=-1)
    return padded


if __name__ == "__main__":
    sys.exit(main())

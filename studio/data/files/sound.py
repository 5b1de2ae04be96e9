"""The sound of a film, kept beside new frames: copied as it is where an MP4 holds it, else encoded anew as AAC."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

COPIED = ("aac", "mp3", "ac3", "eac3", "alac", "opus")  # what an MP4 holds as it is
ENCODED = "aac"


class Sound:
    """The first sound of a film, written into another container as its frames arrive."""

    def __init__(self, source: Any, stream: Any, container: Any, path: Path) -> None:
        """`source` is the opened film and `stream` its sound; `container` is written, as `path` says for errors."""
        self.source, self.stream, self.container, self.path = source, stream, container, path
        self.copies = stream.codec_context.name in COPIED
        if self.copies:
            self.written = container.add_stream_from_template(stream)
        else:
            self.written = container.add_stream(ENCODED, rate=stream.codec_context.sample_rate)
        self._packets: Iterator[Any] = source.demux(stream)
        self._waiting: Any = None

    def until(self, seconds: float) -> None:
        """Writes what is heard up to a time in the film."""
        while (packet := self._next()) is not None:
            if float(packet.pts * packet.time_base) > seconds:
                self._waiting = packet
                return
            self._write(packet)

    def close(self) -> None:
        """Writes the rest."""
        self.until(float("inf"))
        if not self.copies:
            self.container.mux(self.written.encode(None))
        self.source.close()

    def _next(self) -> Any:
        """The next packet with a time; None where there is no more."""
        packet, self._waiting = self._waiting, None
        while packet is None or packet.pts is None:
            packet = next(self._packets, None)
            if packet is None:
                return None
        return packet

    def _write(self, packet: Any) -> None:
        if self.copies:
            packet.stream = self.written
            self.container.mux(packet)
            return
        for frame in packet.decode():
            self.container.mux(self.written.encode(frame))

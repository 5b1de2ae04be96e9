"""Drawn films for the tests of several wings."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def frame(number: int) -> Image.Image:
    """A white square that moves to the right."""
    pixels = np.zeros((48, 96, 3), np.uint8)
    pixels[16:32, 8 + 6 * number : 24 + 6 * number] = 255
    return Image.fromarray(pixels)


def heard(path: Path, codec: str = "aac") -> Path:
    """A film of a second with a tone beside it."""
    av = pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    with av.open(str(path), "w") as container:
        video_stream, sound = container.add_stream("mpeg4", rate=10), container.add_stream(codec, rate=16000)
        video_stream.width, video_stream.height, video_stream.pix_fmt = 96, 48, "yuv420p"
        tone = (8000 * np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000)).astype(np.int16)[None]
        for number in range(10):
            pixels = np.asarray(frame(number))
            container.mux(video_stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            part = av.AudioFrame.from_ndarray(tone[:, 1600 * number : 1600 * (number + 1)], format="s16", layout="mono")
            part.sample_rate, part.pts = 16000, 1600 * number
            container.mux(sound.encode(part))
        for stream in (video_stream, sound):
            container.mux(stream.encode(None))
    return path

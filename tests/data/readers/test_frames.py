"""Films as data: folders of frames in order, and film files."""

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import open_data
from studio.data.files.video import Writer


def frame(number: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.new("RGB", size, (20 * number, 0, 0))


def test_frames_come_in_the_order_of_their_numbers_film_by_film(tmp_path) -> None:
    for film, numbers in (("b", (10, 9, 2)), ("a", (1, 2))):
        (tmp_path / film).mkdir()
        for number in numbers:
            frame(number).save(tmp_path / film / f"img{number}.png")
    dataset = open_data(f"frames:{tmp_path}")
    assert [(item.domain, item.frame, item.name[-9:]) for item in dataset.items] == [
        ("a", 0, "/img1.png"), ("a", 1, "/img2.png"), ("b", 0, "/img2.png"), ("b", 1, "/img9.png"),
        ("b", 2, "img10.png"),
    ]  # fmt: skip


def test_a_film_file_is_read_frame_by_frame(tmp_path) -> None:
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    with Writer(tmp_path / "film.mp4", 10) as writer:
        for number in range(9):
            writer.write(frame(number))
    dataset = open_data(f"frames:{tmp_path / 'film.mp4'}?every=4")
    assert [item.name for item in dataset.items] == ["film-000000", "film-000004", "film-000008"]
    assert [item.frame for item in dataset.items] == [0, 1, 2]
    assert np.abs(dataset.items[1].source.read()[..., 0].astype(int) - 80).max() < 12
    with pytest.raises(DataError, match="whole number"):
        open_data(f"frames:{tmp_path / 'film.mp4'}?every=0")


def test_what_is_no_film_is_said(tmp_path) -> None:
    with pytest.raises(DataError, match="holds no frame"):
        open_data(f"frames:{tmp_path}")
    with pytest.raises(DataError):
        open_data(f"frames:{tmp_path / 'nowhere'}")

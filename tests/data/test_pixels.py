"""Images decoded once: in memory or on disk, broken ones out, in order, within bounds."""

import threading
from collections import namedtuple

import numpy as np
import pytest

from studio.core.errors import StoppedByUser, StoreError
from studio.data import open_data, pixels
from studio.data.files.images import read_image
from studio.data.files.prefetch import in_order
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess
from studio.data.transforms import to_input

SMALL = Preprocess(image_size=16, crop_pct=1.0)


def test_pixels_are_the_inputs_in_order_and_broken_files_are_named(tmp_path, photos):
    data = open_data(f"folder:{photos(tmp_path, {'a': 9, 'b': 8})}")
    broken = data.items[4].source.path
    broken.write_bytes(broken.read_bytes()[:-200])
    found, kept = decode(data, SMALL, workers=3)
    assert [item.name for item in kept.items] == [item.name for item in data.items if item is not data.items[4]]
    assert [skip.name for skip in kept.skipped] == [data.items[4].name] and "cut short" in kept.skipped[0].reason
    for pixel, item in zip(found, kept.items, strict=True):
        assert np.array_equal(pixel, to_input(read_image(item.source, min_side=16), SMALL).numpy())


def test_what_does_not_fit_in_memory_goes_into_a_file_that_leaves_nothing_behind(tmp_path):
    data = open_data("builtin:digits?per_class=1")
    plain, _ = decode(data, SMALL)
    mapped, _ = decode(data, SMALL, folder=tmp_path / "pixels", in_memory=100)
    assert isinstance(mapped, np.memmap) and not isinstance(plain, np.memmap) and np.array_equal(plain, mapped)
    del mapped
    assert list((tmp_path / "pixels").iterdir()) == []


def test_a_disk_that_is_too_small_is_said_before_anything_is_decoded(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(pixels.shutil, "disk_usage", lambda path: usage(100, 90, 10))
    with pytest.raises(StoreError, match="need 0 MB"):
        decode(open_data("builtin:digits?per_class=1"), SMALL, folder=tmp_path, in_memory=1)


def test_decoding_can_be_stopped_and_tells_how_far_it_is():
    data, told = open_data("builtin:digits?per_class=10"), []
    decode(data, SMALL, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(32, 100), (64, 100), (96, 100), (100, 100)]
    asked = iter([False] * 5 + [True])
    with pytest.raises(StoppedByUser, match="after decoding 6 of 100"):
        decode(data, SMALL, should_stop=lambda: next(asked))


def test_no_workers_means_one():
    assert len(decode(open_data("builtin:digits?per_class=1"), SMALL, workers=0)[0]) == 10


def test_work_ahead_is_bounded_in_order_and_passes_errors_on():
    from concurrent.futures import ThreadPoolExecutor

    begun, gate = [], threading.Event()

    def work(number):
        begun.append(number)
        gate.wait(5)
        return number * number

    with ThreadPoolExecutor(8) as pool:
        results = in_order(pool, work, range(20), ahead=3)
        gate.set()
        assert next(results) == 0 and len(begun) <= 4
        assert list(results) == [number * number for number in range(1, 20)]
        with pytest.raises(ZeroDivisionError):
            list(in_order(pool, lambda number: 1 // number, [2, 1, 0, 3], ahead=2))
        begun.clear()
        results = in_order(pool, work, range(7), ahead=4, together=3)
        assert next(results) == 0 and len(begun) <= 6
        assert list(results) == [number * number for number in range(1, 7)]

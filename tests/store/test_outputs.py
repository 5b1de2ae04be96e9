"""What is written for people never goes over anything, and is there whole or not at all."""

import multiprocessing
from pathlib import Path

import pytest

from studio.core.errors import StoreError, UsageError
from studio.store.outputs import Outputs, whole_folder


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"theirs")
    written = [Outputs(tmp_path).write_bytes("a.png", data).name for data in (b"one", b"two")]
    assert written == ["a-2.png", "a-3.png"]
    assert (tmp_path / "a.png").read_bytes() == b"theirs" and (tmp_path / "a-3.png").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_of_that_name_is_left_alone_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "original.png").write_bytes(b"theirs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(tmp_path / "original.png")
    assert Outputs(tmp_path / "out").write_bytes("a.png", b"ours").name == "a-2.png"
    assert (tmp_path / "original.png").read_bytes() == b"theirs"


def test_without_hard_links_names_are_still_claimed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr("os.link", refuse)
    assert [Outputs(tmp_path).write_bytes("a.csv", data).name for data in (b"1", b"2")] == ["a.csv", "a-2.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"1" and len(list(tmp_path.iterdir())) == 2


def test_a_writer_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="is full"):
        Outputs(tmp_path).write("film.mp4", broken)
    assert list(tmp_path.iterdir()) == []


def test_long_names_are_cut_in_bytes_and_keep_their_suffix(tmp_path: Path) -> None:
    written = Outputs(tmp_path).write_bytes("🙂" * 80 + ".png", b"x")
    assert written.suffix == ".png" and written.exists()


def _write(folder: str, data: int) -> None:
    Outputs(folder).write_bytes("same.txt", str(data).encode())


def test_processes_that_write_the_same_name_at_once_lose_nothing(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    workers = [processes.Process(target=_write, args=(str(tmp_path), number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["0", "1", "2"]


def test_a_folder_is_written_whole_or_refused_with_the_name_that_is_taken(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out) as made:
        (made / "model.onnx").write_bytes(b"one")
        (made / "sub").mkdir()
        (made / "sub" / "more.txt").write_bytes(b"two")
    assert (out / "sub" / "more.txt").read_bytes() == b"two"
    with pytest.raises(UsageError, match=r"has model\.onnx already"), whole_folder(out) as made:
        (made / "new.txt").write_bytes(b"new")
        (made / "model.onnx").write_bytes(b"other")
    assert (out / "model.onnx").read_bytes() == b"one"
    assert sorted(path.name for path in out.iterdir()) == ["model.onnx", "sub"]

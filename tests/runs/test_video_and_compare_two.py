"""Films in and out, and two detectors on one image."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from drawn_films import frame, heard

from adapters.detect.run.predictor import BoxPredictor
from studio.core.errors import DataError, StudioError, UsageError
from studio.core.procedure import Predictor
from studio.data.boxes import Detections
from studio.data.files import video
from studio.runs.compare_two import compare_two, match
from studio.runs.predict import Model, split_films
from studio.runs.video import predict_video
from studio.store.outputs import Outputs
from studio.terminal import show_predictions


class Bright(BoxPredictor):
    """Finds the box around all bright pixels."""

    classes = ["dark", "bright"]

    def __init__(self, label: int = 1) -> None:
        self.label = label

    def boxes(self, images):
        out = []
        for image in images:
            rows, columns = np.nonzero(np.asarray(image)[..., 0] > 127)
            corners = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else []
            count = len(corners)
            out.append(
                Detections(
                    np.array(corners, np.float32).reshape(-1, 4), np.full(count, self.label), np.full(count, 0.9)
                )
            )
        return out


def model(predictor: Predictor, name: str = "one") -> Model:
    return Model(SimpleNamespace(id=name, manifest=SimpleNamespace(method="detect/fcos")), predictor)


@pytest.fixture
def film(tmp_path) -> Path:
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    path = tmp_path / "film.mp4"
    with video.Writer(path, 10) as writer:
        for number in range(10):
            writer.write(frame(number))
    return path


def test_a_film_is_read_frame_by_frame(film):
    seen = list(video.frames(film))
    assert [one.number for one in seen] == list(range(10)) and seen[0].image.size == (96, 48)
    assert [one.time_s for one in seen] == pytest.approx([number / 10 for number in range(10)], abs=1e-3)
    assert np.abs(np.asarray(seen[4].image, float) - np.asarray(frame(4), float)).mean() < 8
    assert [one.number for one in video.frames(film, every=4)] == [0, 4, 8]
    assert video.frame_rate(film) == pytest.approx(10)


def test_boxes_of_a_film_are_rows_and_drawn_on_it(film, tmp_path):
    out = tmp_path / "drawn" / "film.mp4"
    rows = [one.to_dict() for one in predict_video(model(Bright()), film, out, every=2)]
    assert [row["frame"] for row in rows] == [0, 2, 4, 6, 8] and rows[2]["time_s"] == pytest.approx(0.4)
    for row in rows:
        x1 = 8 + 6 * row["frame"]
        np.testing.assert_allclose(row["boxes"][0]["box"], [x1, 16, x1 + 16, 32], atol=2)
    drawn = list(video.frames(out))
    assert len(drawn) == 5 and video.frame_rate(out) == pytest.approx(5)
    assert np.abs(np.asarray(drawn[0].image, float) - np.asarray(frame(0), float)).mean() > 3
    assert list(out.parent.iterdir()) == [out]


def test_a_frame_stands_left_of_its_answer(film, tmp_path):
    predict_video(model(Bright()), film, tmp_path / "drawn.mp4", every=5)
    predict_video(model(Bright()), film, tmp_path / "both.mp4", every=5, side_by_side=True)
    drawn, both = (next(video.frames(tmp_path / name)).image for name in ("drawn.mp4", "both.mp4"))
    assert both.size == (192, 48)
    for left, alone in ((0, frame(0)), (96, drawn)):
        half = both.crop((left, 0, left + 96, 48))
        assert np.abs(np.asarray(half, float) - np.asarray(alone, float)).mean() < 5


def test_rows_of_a_film_are_shown_and_written_with_their_time(film, tmp_path, capsys):
    rows = predict_video(model(Bright()), film, every=5)
    assert show_predictions(rows, True, 5, Outputs(tmp_path / "out")) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    lines = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert lines[0].endswith("time_s") and lines[2].endswith("0.5")


def test_a_film_that_breaks_off_leaves_nothing_half_written(tmp_path):
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    with pytest.raises(RuntimeError), video.Writer(tmp_path / "film.mp4", 10) as writer:
        writer.write(frame(0))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "codec"), [("film.mp4", "aac"), ("film.mkv", "pcm_s16le")])
def test_a_film_keeps_its_sound(tmp_path, name, codec):
    given, out = heard(tmp_path / name, codec), tmp_path / "out.mp4"
    notes = []
    predict_video(model(Bright()), given, out, every=2, on_note=notes.append)
    import av

    with av.open(str(out)) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        samples = np.concatenate([part.to_ndarray()[0] for part in container.decode(sound)])
    assert len(samples) == pytest.approx(16000, abs=2200)
    assert 400 < np.argmax(np.abs(np.fft.rfft(samples[2000:14000]))) * 16000 / 12000 < 480
    assert len(list(video.frames(out))) == 5 and not notes


def test_a_film_of_a_codec_that_is_not_known_is_refused_in_a_sentence(film):
    film.write_bytes(film.read_bytes().replace(b"avc1", b"zzzz").replace(b"mp4v", b"zzzz"))
    with pytest.raises(DataError, match="its codec is not known here"):
        list(video.frames(film))


def test_what_is_no_film_is_refused(film, tmp_path):
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    for path in (playlist, tmp_path / "missing.mp4"):
        with pytest.raises(DataError):
            list(video.frames(path))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[:200])
    with pytest.raises(DataError, match="cut.mp4"):
        list(video.frames(cut))
    with pytest.raises(DataError, match="expected .mp4"):
        list(video.frames(tmp_path / "photo.jpg"))


def test_without_the_library_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(StudioError, match="pip install av"):
        list(video.frames(tmp_path / "film.mp4"))


def test_films_are_told_from_images():
    stills, films = split_films(["a.png", "b.MP4", "folder", "c.mov"])
    assert [str(one) for one in stills] == ["a.png", "folder"] and [str(one) for one in films] == ["b.MP4", "c.mov"]


def box(label: str, *corners: float) -> dict:
    return {"label": label, "score": 0.9, "box": list(corners)}


def test_boxes_are_matched_once_by_class_and_overlap():
    first = [box("a", 0, 0, 10, 10), box("a", 0, 0, 10, 9), box("b", 20, 20, 30, 30)]
    second = [box("a", 0, 0, 10, 10), box("a", 20, 20, 30, 30)]
    assert match(first, second) == ([True, False, False], [True, False])
    assert match([], second) == ([], [False, False])


def test_two_detectors_are_drawn_side_by_side():
    image = frame(0)
    alike = compare_two(model(Bright()), model(Bright(), "two"), image)
    assert alike.counts == {"both": 1, "first_only": 0, "second_only": 0}
    other = compare_two(model(Bright()), model(Bright(label=0), "two"), image)
    assert other.counts == {"both": 0, "first_only": 1, "second_only": 1}
    assert alike.drawn.width > 2 * image.width and alike.drawn.height > image.height
    assert np.any(np.asarray(alike.drawn) != np.asarray(other.drawn))


def test_a_classifier_has_no_boxes_to_compare():
    class Says(Predictor):
        classes = ["a", "b"]

        def scores(self, images):
            return np.full((len(images), 2), 0.5)

    with pytest.raises(UsageError, match="has no boxes"):
        compare_two(model(Bright()), model(Says()), frame(0))

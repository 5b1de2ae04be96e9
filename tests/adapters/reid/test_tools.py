"""What is done with a gallery: enrolled, asked, taught, searched for, followed, forgotten; and what leaves with it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.reid.run.gallery import Gallery
from adapters.reid.run.predictor import Calibration, Matches, calibrated
from studio import load_checkpoint, run
from studio.core.answers import Answer
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.tool import Bench
from studio.data import open_data, read_image
from studio.data.files.video import Writer
from studio.metrics.retrieval import Ranking
from studio.runs.export import Wishes, export_checkpoint
from studio.runs.predict import teach_checkpoint
from studio.runs.tools import tool_named, use
from studio.store import Store

RECIPE = {
    "task": "reid", "method": "reid/frozen", "model": {"backbone": "timm/test_resnet?random", "image_size": 32},
    "data": {"train": "builtin:individuals?individuals=8&size=32"}, "device": "cpu",
}  # fmt: skip
OTHERS = "builtin:individuals?individuals=3&size=32&place=1"


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A home, and a checkpoint in it that knows eight individuals."""
    home = Home.find(tmp_path_factory.mktemp("known") / "home")
    return home, run(RECIPE, home=home).checkpoint


def used(home: Home, tool: str, checkpoint: str, **values):
    bench = Bench(
        lambda name, look=None: load_checkpoint(name, home, "cpu", look),
        lambda name, images: teach_checkpoint(name, images, home), home,
    )  # fmt: skip
    return use(tool_named(tool), Store(home).checkpoint(checkpoint), values, bench)


def photo(row: int = 0, spec: str = OTHERS) -> Image.Image:
    item = open_data(spec).items[row]
    return read_image(item.source, item.name)


def test_who_is_enrolled_is_found_afterwards_and_the_old_checkpoint_stays(known):
    home, checkpoint = known
    with pytest.raises(UsageError, match="agreed: an enrolled individual is recognised"):
        used(home, "enrol", checkpoint, data=OTHERS)
    result = used(home, "enrol", checkpoint, data=OTHERS, agreed=True)
    assert result.facts["enrolled"] == 3 and result.facts["in_gallery"] == 11 and result.facts["images"] == 36
    answer = load_checkpoint(result.checkpoint, home).predict([photo()])[0]
    assert answer["label"] == "place-1/000" and answer["distance"] == pytest.approx(0, abs=1e-3)
    assert len(Store(home).checkpoint(checkpoint).manifest.classes) == 8
    alone = used(home, "enrol", checkpoint, data=OTHERS, agreed=True, replace=True)
    assert alone.facts["in_gallery"] == 3
    assert Store(home).checkpoint(alone.checkpoint).manifest.lineage == {"parent": checkpoint}, "no name is told of"


def test_a_correction_is_known_at_once(known):
    home, checkpoint = known
    taught = used(home, "teach", checkpoint, image=photo(), label="berta").checkpoint
    answer = load_checkpoint(taught, home).predict([photo()])[0]
    assert answer["label"] == "berta" and answer["matches"][0]["image"] == "taught"
    again = used(home, "teach", taught, image=photo(1), label="berta").checkpoint
    assert Gallery.load(Store(home).checkpoint(again)).names.count("berta") == 1


def test_the_same_one_is_found_in_a_folder(known, tmp_path):
    home, checkpoint = known
    for row in range(6):
        photo(12 * (row % 3)).save(tmp_path / f"{row}.png")
    result = used(home, "find-in-folder", checkpoint, image=photo(12), data=f"images:{tmp_path}", most=4)
    assert {row["image"] for row in result.rows[:2]} == {"1.png", "4.png"} and len(result.rows) == 4
    assert [row["distance"] for row in result.rows] == sorted(row["distance"] for row in result.rows)
    assert result.facts["images"] == 6 and result.image is not None


class Boxed(Answer):
    def to_dict(self, topk: int = 5):
        boxes = [[4, 4, 36, 36], [60, 4, 92, 36], [0, 0, 3, 3]]
        return {"boxes": [{"label": "thing", "score": 0.9, "box": box} for box in boxes]}


def test_one_is_followed_through_a_film(known, tmp_path, monkeypatch):
    pytest.importorskip("av")
    home, checkpoint = known
    tool, film = tool_named("follow"), tmp_path / "film.mp4"
    with Writer(film, 10) as written:
        for at in range(4):
            frame = Image.new("RGB", (96, 40), (90, 90, 90))
            frame.paste(photo(0).resize((32, 32)), (4 if at < 2 else 60, 4))
            frame.paste(photo(24).resize((32, 32)), (60 if at < 2 else 4, 4))
            written.write(frame)

    class Detector:
        @staticmethod
        def look(images):
            return [type("Seen", (), {"answer": Boxed()})() for _ in images]

    whole = load_checkpoint(checkpoint, home, "cpu")
    whole.predictor.calibration = Calibration(0.0, 1.0)
    bench = Bench(lambda name: whole if name == checkpoint else Detector, None, home)
    inputs = tool.Inputs(image=photo(0), film=film, detector="detector", every=1)
    result = tool.run(checkpoint, inputs, bench)
    result.write_film(tmp_path / "drawn.mp4")
    assert [row["x1"] for row in result.rows] == [4, 4, 60, 60] and (tmp_path / "drawn.mp4").exists()
    whole.predictor.calibration = Calibration(0.0, 1.0, beyond=1e-9)
    strict = tool.run(checkpoint, inputs, bench)
    strict.write_film(tmp_path / "nobody.mp4")
    assert strict.rows == [] and strict.facts == {"frames": 4, "count": 0}


def test_a_gallery_is_forgotten_whole_and_so_are_those_it_came_from(home):
    first = run(RECIPE, home=home).checkpoint
    second = used(home, "enrol", first, data=OTHERS, agreed=True).checkpoint
    one_less = used(home, "forget", second, who="place-1/001", keep_others=True)
    assert "place-1/001" not in Store(home).checkpoint(one_less.checkpoint).manifest.classes
    with pytest.raises(UsageError, match="nobody called 'nobody'"):
        used(home, "forget", second, who="nobody")
    nothing = used(home, "forget", second)
    store = Store(home)
    assert nothing.facts["in_gallery"] == 0 and nothing.facts["deleted"] == 3
    assert [row["checkpoint"] for row in store.checkpoints()] == [nothing.checkpoint]
    assert store.gc(dry_run=True)["removed"] == [] and store.verify() == []
    with pytest.raises(UsageError, match="gallery of this checkpoint is empty"):
        load_checkpoint(nothing.checkpoint, home).predict([photo()])
    assert used(home, "enrol", nothing.checkpoint, data=OTHERS, agreed=True).facts["in_gallery"] == 3


def test_an_export_leaves_the_gallery_and_its_names_out_unless_asked(known, tmp_path):
    home, checkpoint = known
    left = export_checkpoint(checkpoint, "safetensors", tmp_path / "without", home)
    taken = export_checkpoint(checkpoint, "safetensors", tmp_path / "with", home, Wishes(personal=True))
    assert "left out" in left["note"] and "embeddings" in taken["note"]
    texts = {name: _text(tmp_path / name) for name in ("with", "without")}
    assert b"place-0/000" in texts["with"] and b"gallery." in texts["with"]
    assert b"place-0" not in texts["without"] and b"gallery." not in texts["without"]
    back = Store(home).import_(tmp_path / "without")
    assert len(Gallery.load(back)) == 0
    assert used(home, "enrol", back.id, data=OTHERS, agreed=True).facts["in_gallery"] == 3


def _text(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_nothing_that_a_run_writes_down_names_an_individual(known):
    home, _ = known
    events = (home.runs / Store(home).runs()[0]["run"] / "events.jsonl").read_text(encoding="utf-8")
    assert "Calibrated on" in events and "place-0/" not in events


def test_beyond_the_calibrated_distance_it_is_nobody():
    draw = np.random.default_rng(0)
    right, wrong = draw.uniform(0.1, 0.6, 200) ** 2, draw.uniform(0.4, 1.2, 200) ** 2
    ones = np.ones(200)
    calibration = calibrated([Ranking(ones, ones, ones, ones, right, wrong)])
    let_in = (np.sqrt(wrong) < calibration.beyond).mean()
    assert let_in == pytest.approx(0.05) and "200 queries" in calibration.how and "5% of strangers" in calibration.how
    gallery = Gallery(np.eye(2, dtype=np.float32), np.array([0, 1]), ["a", "b"], ["1", "2"], ["", ""])
    for distance, label in ((0.9 * calibration.beyond, "a"), (1.1 * calibration.beyond, None)):
        answer = Matches(gallery, np.array([0, 1]), np.array([distance, 2.0]) ** 2, calibration)
        assert answer.to_dict()["label"] == label and answer.nobody == (label is None)
        assert bool(answer.scores()) == (label is not None) and bool(answer.remark) == (label is None)

"""A project on the desk: what is next, what is proposed, what is doubted; from Python and the command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from studio.cli import main
from studio.core.errors import UsageError
from studio.data.preprocess import Preprocess
from studio.label.desk import Desk, start
from studio.label.proposals import truth_of_answer
from studio.store.labelling import Labels

SIZE = (16, 16)


class MeanColour(torch.nn.Module):
    """A backbone whose features are the mean colour."""

    hash, dim = "mean-colour", 3
    preprocess = Preprocess(image_size=16)

    def embed(self, images):
        return images.mean((2, 3)) + 5


def load(name, **options):
    return MeanColour()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten red and ten blue images, each a little different."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(20):
        rgb = (220 - number, number, 0) if number < 10 else (0, number, 220 - number)
        Image.new("RGB", SIZE, rgb).save(folder / f"{number:02d}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture
def desk(home, photos):
    start("p", f"images:{photos}", "classes", ["red", "blue"], home)
    return Desk("p", home, load=load)


def test_the_labels_so_far_propose_and_choose_once_two_classes_are_there(desk):
    first = desk.next("margin", 3)
    assert first.rule == "random" and len(set(first.images)) == 3
    assert desk.propose("05.png") is None
    for image, label in (("00.png", "red"), ("01.png", "red"), ("18.png", "blue"), ("19.png", "blue")):
        desk.mark(image, {"label": label})
    proposal = desk.propose("05.png")
    assert proposal.truth == {"label": "red"} and proposal.score > 0.5
    assert desk.next("margin", 1).rule == "margin"
    assert len(desk.next("typiclust", 50).images) == 16, "the broken one can't be embedded"
    desk.skip("05.png")
    assert "05.png" not in desk.next("k-center", 50).images
    assert desk.spec == "labels:p?at=6"


def test_a_page_may_embed_a_few_at_a_time_and_the_labelled_ones_first(desk):
    desk.mark("00.png", {"label": "red"})
    desk.mark("19.png", {"label": "blue"})
    assert len(desk.next("entropy", 50, budget=5).images) == 3
    assert len(desk.next("entropy", 50, budget=5).images) == 8


def test_asked_one_by_one_a_few_are_chosen_at_a_time_and_none_comes_twice(desk, monkeypatch):
    asked = []
    monkeypatch.setattr(desk, "next", lambda *args: asked.append(args) or Desk.next(desk, *args))
    seen = []
    while image := desk.next_one("typiclust", past=seen[-1] if seen else None):
        seen.append(image)
        desk.skip(image)
    assert sorted(seen) == [f"{number:02d}.png" for number in range(20)], "the broken one is left out"
    assert len(asked) == 4


def test_a_wrong_label_is_doubted_first(desk):
    for number in range(20):
        desk.mark(f"{number:02d}.png", {"label": "red" if number < 10 else "blue"})
    desk.mark("03.png", {"label": "blue"})
    assert [(doubt.image, doubt.label, doubt.likelier) for doubt in desk.doubts()] == [("03.png", "blue", "red")]


def test_labels_that_the_images_came_with_are_taken_over(home, photos, tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "sorted" / label).mkdir(parents=True)
        Image.new("RGB", SIZE).save(tmp_path / "sorted" / label / "1.png")
    labels = start("sorted", f"folder:{tmp_path / 'sorted'}", home=home).labels
    assert labels.truths == {"cat/1.png": {"label": "cat"}, "dog/1.png": {"label": "dog"}}


@pytest.mark.parametrize(
    ("kind", "truth", "message"),
    [
        ("classes", {"boxes": []}, "expected label"),
        ("boxes", {"size": [9, 9], "boxes": []}, "drawn at"),
        ("boxes", {"size": [16, 16], "boxes": [["cat", 0, 0, 17, 5]]}, "box 1 .* does not lie in the image of 16 x 16"),
        ("boxes", {"size": [16, 16], "boxes": [["cat", 5, 5, 5, 9]]}, "does not lie"),
        ("boxes", {"size": [16, 16], "boxes": [["cat", 0, 0, float("nan"), 5]]}, "no numbers"),
        ("boxes", {"size": [16, 16], "boxes": [["cat", 1]]}, "box 1 is no"),
        ("masks", {"size": [16, 16], "shapes": [["cat", [[0, 0, 5, 5]]]]}, "shape 1 it has no outline"),
        ("masks", {"size": [16, 16], "shapes": [["cat", {"size": [16, 16], "counts": [3]}]]}, "do not fill"),
    ],
)  # fmt: skip
def test_a_truth_that_does_not_fit_the_image_is_refused(home, photos, kind, truth, message):
    desk = start("p", f"images:{photos}", kind, [], home)
    with pytest.raises(UsageError, match=message):
        desk.mark("00.png", truth)
    with pytest.raises(UsageError, match="has no image"):
        desk.mark("no.png", truth)
    if kind != "classes":
        with pytest.raises(UsageError, match="looks at classes of whole images; for .* take k-center, random"):
            desk.next("margin")
        assert desk.propose("00.png") is None


def test_what_a_checkpoint_answers_is_proposed_in_the_project_s_classes_alone():
    boxes = [
        {"label": label, "score": score, "box": [0, 0, 5, 5]} for label, score in (("a", 0.9), ("a", 0.1), ("b", 1))
    ]
    found = truth_of_answer(
        {"width": 9, "height": 8, "boxes": boxes, "label": "a", "score": 0.9}, Labels("", "boxes", ["a"])
    )
    assert (found.truth, found.score) == ({"size": [9, 8], "boxes": [["a", 0.0, 0.0, 5.0, 5.0]]}, 0.9)
    assert truth_of_answer({"label": "c", "score": 1.0}, Labels("", "classes", ["a"])) is None
    assert truth_of_answer({"label": "c", "score": 1.0}, Labels("", "classes", [])).truth == {"label": "c"}
    assert truth_of_answer({"boxes": [], "label": None}, Labels("", "classes", [])) is None
    mask = {"width": 2, "height": 1, "classes": [{"label": "a", "score": 0.5, "rle": {"size": [1, 2], "counts": "1"}}]}
    assert truth_of_answer(mask, Labels("", "masks", ["a"])).truth["shapes"] == [["a", {"size": [1, 2], "counts": "1"}]]


def test_a_script_labels_from_the_command_line_and_exports(home, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUDIO_HOME", str(home.root))

    def call(*arguments):
        assert main(["label", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    assert call("start", "cli", f"images:{photos}", "--classes", "red, blue")["images"] == 21
    (row,) = call("next", "cli", "--rule", "random", "--count", "1")
    assert row["proposal"] is None
    call("mark", "cli", "00.png", "red")
    call("mark", "cli", "19.png", "blue")
    assert call("mark", "cli", "18.png", "red")["labelled"] == 3
    assert call("undo", "cli")["image"] == "18.png"
    assert call("list")[0]["labelled"] == 2
    files = call("export", "cli", "--format", "folders", "--out", str(tmp_path / "out"))["files"]
    assert files == ["blue/19.png", "red/00.png"]
    assert {row["rule"] for row in call("rules")} >= {"random", "margin", "typiclust"}
    call("delete", "cli")
    assert main(["label", "undo", "cli"]) == 2 and "no labelling project" in capsys.readouterr().err


def test_the_next_image_is_drawn_anew_after_each_act(desk):
    drawn = set()
    for number in range(4):
        drawn.add(desk.next("random").images[0])
        desk.skip(f"{number:02d}.png")
    assert len(drawn) > 1 and not np.array_equal(desk.next("random", 9).images, desk.next("random", 9).images[::-1])

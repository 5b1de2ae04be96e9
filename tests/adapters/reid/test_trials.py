"""Who is learned from, who asks and who answers; what can't be scored is said before anything is trained."""

import numpy as np
import pytest
from PIL import Image

from adapters.reid.data.trials import resolve_trials, seen
from adapters.reid.task import ReidData, ReidEval
from studio.core.errors import DataError
from studio.data import check

DRAWN = "builtin:individuals?individuals=10&cameras=2&views=2&size=16"


def laid(root, *names):
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 7 % 256, 40, 90)).save(file)
    return f"reid:{root}"


def trials(seed=0, settings=None, **data):
    return resolve_trials(ReidData(**data), ReidEval(**(settings or {})), seed)


def names(part):
    return {part.classes[item.label] for item in part.items}


def test_draws_divide_by_individual_and_differ_but_for_the_same_seed():
    first, second = trials(train=DRAWN, settings={"splits": 2})
    for trial in (first, second):
        assert len(names(trial.train)) == len(names(trial.query)) == 5
        assert not names(trial.train) & names(trial.query) and trial.query is trial.gallery
    assert names(first.train) != names(second.train)
    assert names(trials(train=DRAWN)[0].train) == names(first.train)
    assert names(trials(seed=1, train=DRAWN)[0].train) == names(second.train)
    few = trials(train=DRAWN, settings={"test_identities": 3})[0]
    assert len(names(few.query)) == 3 and len(names(few.train)) == 7


def test_cameras_may_ask_cameras_and_a_fifth_may_choose_the_epoch():
    trial = trials(train=DRAWN, settings={"query_cameras": ["1"], "selection": "source-val"})[0]
    assert {item.camera for item in trial.query.items} == {"1"} and {item.camera for item in trial.gallery.items} == {
        "0"
    }
    assert len(names(trial.val)) == 2 and not names(trial.val) & names(trial.train) and len(names(trial.train)) == 3
    for cameras, words in ((["7"], "has no camera '7'"), (["0", "1"], "none is left to answer")):
        with pytest.raises(DataError, match=words):
            trials(train=DRAWN, settings={"query_cameras": cameras})


def test_query_and_gallery_that_are_named_are_taken(tmp_path):
    query, gallery = laid(tmp_path / "q", "emma/a/1.jpg", "stray/a/1.jpg"), laid(tmp_path / "g", "emma/b/1.jpg")
    trial = trials(train=DRAWN, query=query, gallery=gallery)[0]
    assert names(trial.query) == {"emma", "stray"} and names(trial.gallery) == {"emma"}
    assert trial.query.classes == trial.gallery.classes and len(trial.train.classes) == 10
    assert any("1 of 2 queries, of 1 individuals, have no right image" in note for note in trial.notes)
    assert not any("stray" in note for note in trial.notes), "notes name nobody"


def test_a_target_comes_without_its_identities_and_the_other_half_of_it_is_scored():
    trial = trials(source=DRAWN, target=DRAWN.replace("?", "?place=1&"))[0]
    assert len(names(trial.train)) == 10 and all(name.startswith("place-0") for name in names(trial.train))
    assert len(trial.target) == 20 and not hasattr(trial.target.items[0], "label")
    assert trial.target.items[0].camera in {"0", "1"}
    assert not {item.name for item in trial.target.items} & {item.name for item in trial.query.items}
    assert trials(target=DRAWN)[0].train is None


def test_plain_class_folders_are_individuals_of_unknown_cameras_and_no_image_finds_itself():
    trial = trials(train="builtin:digits?per_class=3")[0]
    who = seen(trial.query, trial.gallery)
    assert (who[0].cameras == who[1].cameras).all() and len(np.unique(who[0].cameras)) == len(trial.query)
    assert any("No camera is named" in note for note in trial.notes)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("a/x/1.jpg", "a/x/2.jpg", "b/y/1.jpg", "b/y/2.jpg", "c/x/1.jpg", "c/x/2.jpg", "d/y/1.jpg", "d/y/2.jpg"),
         "every individual is seen by one camera only (there are"),
        (("a/1.jpg", "b/1.jpg", "c/1.jpg", "d/1.jpg", "e/1.jpg"), "has 0 individuals with two images or more, of 5"),
        (("train/a/x/1.jpg", "train/b/x/1.jpg", "query/c/x/1.jpg", "gallery/c/y/1.jpg"),
         "0 of 2 individuals to learn from have two images or more"),
        (("train/a/x/1.jpg", "train/a/y/1.jpg", "train/b/x/1.jpg", "train/b/y/1.jpg", "query/c/x/1.jpg",
          "gallery/d/y/1.jpg"),
         "nobody who is asked for is in the gallery. The queries show c"),
    ],
    ids=["one camera each", "one image each", "one image each to learn from", "query missing in the gallery"],
)  # fmt: skip
def test_what_cannot_be_learned_or_scored_is_said_before_training(tmp_path, files, words):
    with pytest.raises(DataError) as error:
        trials(train=laid(tmp_path, *files))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [({}, "nothing is given"), ({"train": "builtin:scenes?images=4"}, "has boxes, and no individual")],
)
def test_data_without_individuals_are_refused(data, words):
    with pytest.raises(DataError, match=words):
        trials(**data)


def test_the_check_of_a_set_says_who_is_seen_by_which_cameras(tmp_path):
    report = check(laid(tmp_path, "a/x/1.jpg", "a/y/1.jpg", "b/x/1.jpg", "b/x/2.jpg", "c/x/1.jpg"))
    assert report.truth == "identities" and report.identities["cameras"] == {"x": 4, "y": 1}
    assert report.learns == "2 individuals with two images or more, from 5 images of 2 cameras"
    said = " ".join(report.problems)
    assert "1 of 3 individuals have one image alone" in said and "2 of 3 individuals are seen by one camera" in said
    assert "No camera is named" in " ".join(check(laid(tmp_path / "plain", "a/1.jpg", "a/2.jpg", "b/1.jpg")).problems)

"""Domains: the target has no truth to ask for, each item's domain is known, one may be left out."""

import numpy as np
import pytest

from studio.core.errors import UsageError
from studio.core.sections import AugmentedTrain
from studio.data.domains import blind, by_domain, domain_ids, leave_one_out, target_of
from studio.data.items import ArraySource, Dataset, FeatureSet, Item
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess
from studio.engine.batches import TrainBatches


def joined() -> Dataset:
    """Six images of two domains, `art` and `photo`."""
    draw = np.random.default_rng(0)
    items = [
        Item(str(i), i % 2, ArraySource(draw.integers(0, 255, (8, 8, 3), np.uint8)), ("art", "photo")[i // 3])
        for i in range(6)
    ]
    return Dataset("folder:art,folder:photo", ["a", "b"], items)


def test_a_target_has_no_labels_to_ask_for_and_is_read_all_the_same():
    target = blind(joined())
    item = target.items[0]
    for thing, name in ((target, "labels"), (target, "classes"), (item, "label"), (item, "boxes")):
        with pytest.raises(AttributeError, match=name):
            getattr(thing, name)
    pixels, kept = decode(target, Preprocess(8))
    assert pixels.shape == (6, 3, 8, 8) and [item.domain for item in kept.items] == ["art"] * 3 + ["photo"] * 3
    assert not hasattr(kept, "labels") and len(target.subset([4, 1])) == 2


def test_domain_ids_reach_the_batch_of_each_image():
    dataset = joined()
    ids, names = domain_ids(dataset.items)
    assert ids.tolist() == [0, 0, 0, 1, 1, 1] and names == ["art", "photo"]
    pixels = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None], (6, 3, 8, 8))
    preprocess = Preprocess(8, 1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)
    batches = TrainBatches(pixels, dataset.labels, 2, preprocess, AugmentedTrain(augment="none", batch_size=4), ids)
    batch = batches.batch(0)
    rows = (batch.images[:, 0, 0, 0] * 255).round().long()
    assert batch.domains.tolist() == (rows // 3).tolist() and batch.labels.tolist() == (rows % 2).tolist()
    assert "domains" not in TrainBatches(pixels, dataset.labels, 2, preprocess, AugmentedTrain(batch_size=4)).batch(0)


@pytest.mark.parametrize("kind", ["images", "features"])
def test_each_domain_is_left_out_once(kind):
    names = np.array(["art"] * 3 + ["photo"] * 3)
    features = FeatureSet("npz:art,npz:photo", ["a", "b"], np.arange(6.0)[:, None], np.arange(6) % 2, names)
    data = joined() if kind == "images" else features
    assert {name: len(part) for name, part in by_domain(data).items()} == {"art": 3, "photo": 3}
    left_out = {name: (rest, held) for name, rest, held in leave_one_out(data)}
    assert list(left_out) == ["art", "photo"]
    for name, (rest, held) in left_out.items():
        seen, unseen = (
            {item.domain for item in part.items} if kind == "images" else set(part.domains) for part in (rest, held)
        )
        assert unseen == {name} and seen == {"art", "photo"} - {name} and len(rest) + len(held) == 6
    with pytest.raises(UsageError, match="one domain"):
        list(leave_one_out(Dataset("folder:art", ["a"], joined().items[:3])))


def test_what_is_scored_is_named_else_held_out_else_the_very_images():
    digits = "builtin:digits?per_class=2"
    learned, scored, words = target_of(digits, None)
    assert scored is learned and "very images" in words
    assert target_of(digits, "builtin:digits?per_class=1")[2] == "10 images of data.test"

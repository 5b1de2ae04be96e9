"""Checkpoints: what is put comes back, equal parts are kept once, names find them."""

import json
import os

import numpy as np
import pytest
import torch

from studio.core.errors import StoreError, UsageError
from studio.core.recipe import Recipe
from studio.store import Manifest, Store


def test_every_kind_of_tensor_comes_back_bit_for_bit(store):
    tied = torch.randn(3, 3)
    given = {
        "backbone.bf16": torch.randn(5).bfloat16(),
        "backbone.tied": tied,
        "tied": tied,
        "strided": torch.randn(4, 6).t()[1:, ::2],
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "mask": torch.tensor([True, False]),
        "nan": torch.tensor([float("nan"), float("inf"), -0.0]),
        "grad": torch.nn.Parameter(torch.randn(2)),
        "numpy64": np.linspace(0, 1, 5),
        "big_endian": np.arange(3, dtype=">i4"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    checkpoint = store.put(Manifest(face="Learner", task="classify", method="finetune/full"), given)
    found = Store(store.home).checkpoint(checkpoint.id).tensors()
    assert found.keys() == given.keys()
    for name, value in given.items():
        expected = value.detach() if isinstance(value, torch.Tensor) else torch.tensor(value.tolist())
        assert found[name].shape == expected.shape, name
        assert raw(found[name]).equal(raw(expected.to(found[name].dtype))), name
    assert found["backbone.bf16"].dtype == torch.bfloat16 and found["numpy64"].dtype == torch.float64


def raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def test_texts_are_refused_as_tensors_and_nothing_is_kept(store):
    with pytest.raises(TypeError, match="names"):
        store.put(Manifest(face="Estimator", task="classify", method="a/b"), {"names": np.array(["cat"])})
    assert store.checkpoints() == [] and not list(store.home.blobs.iterdir())


def test_ten_heads_on_one_backbone_store_the_backbone_once(store, put):
    backbone = torch.randn(1000, 100)
    for _ in range(10):
        put(backbone=backbone.clone())
    sizes = sorted(path.stat().st_size for path in store.home.blobs.iterdir())
    assert len(sizes) == 11 and sizes[-1] > 400_000 and sizes[-2] < 1000


def test_a_thousand_small_tensors_are_two_files(store):
    tensors = {f"{part}.{i}": torch.full((2,), float(i)) for part in ("backbone", "blocks") for i in range(500)}
    checkpoint = store.put(Manifest(face="Learner", task="classify", method="finetune/full"), tensors)
    assert len(list(store.home.blobs.iterdir())) == 2
    assert checkpoint.tensors("backbone.").keys() == {name for name in tensors if name.startswith("backbone.")}


def test_the_manifest_holds_what_json_can_hold(store, put):
    checkpoint = put(
        metrics={"accuracy": np.float32(0.5), "map": float("nan"), "per_class": np.array([1, 2])}, params={"k": (1, 2)}
    )
    values = json.loads(checkpoint.path.read_text())
    assert values["metrics"] == {"accuracy": 0.5, "map": None, "per_class": [1, 2]}
    assert values["params"] == {"k": [1, 2]} and checkpoint.manifest.metrics["map"] is None


def test_files_are_kept_with_a_checkpoint(store, put):
    checkpoint = put(files={"labels.json": b"{}"})
    assert store.checkpoint(checkpoint.id).file("labels.json") == b"{}"
    with pytest.raises(StoreError, match=r"labels\.json"):
        checkpoint.file("other.json")


def test_a_checkpoint_answers_to_id_prefix_tag_and_run(store, put):
    run = store.new_run(Recipe())
    checkpoint = put()
    put(method="fewshot/prototypes")
    with run.hold(), open(run.events_path, "w") as file:
        file.write(json.dumps({"t": 1, "kind": "checkpoint", "checkpoint": checkpoint.id, "role": "final"}) + "\n")
    store.tag(checkpoint.id, "best")
    for name in (checkpoint.id, checkpoint.id[:6], "best", run.id, run.id[:-2], "last"):
        assert store.checkpoint(name).id == checkpoint.id


def test_unknown_and_ambiguous_names_say_what_would_be_right(store, put):
    first, _ = put(), put()
    with pytest.raises(UsageError, match="write more of it"):
        store.checkpoint("full-")
    with pytest.raises(UsageError, match=f"Did you mean '{first.id}'"):
        store.checkpoint(first.id + "0")
    run = store.new_run(Recipe())
    with pytest.raises(UsageError, match="left no checkpoint"):
        store.checkpoint(run.id)
    for name in ("", "..", "../index", "/etc/passwd"):
        with pytest.raises(UsageError):
            store.checkpoint(name)


def test_a_tag_moves_and_is_not_the_only_name_for_anything(store, put):
    first, second = put(), put()
    store.tag(first.id, "best")
    child = put(lineage={"parent": "best"})
    store.tag(second.id, "best")
    assert store.checkpoint("best").id == second.id
    assert child.manifest.lineage["parent"] == first.id
    assert [row["tags"] for row in store.checkpoints() if row["checkpoint"] == second.id] == [["best"]]
    store.untag("best")
    with pytest.raises(UsageError):
        store.checkpoint("best")
    for bad in ("a/b", "", "last", first.id):
        with pytest.raises(UsageError, match="can't be a tag"):
            store.tag(first.id, bad)


def test_lineage_goes_back_to_the_first_and_says_where_it_breaks(store, put):
    first = put()
    second = put(lineage={"parent": first.id, "run": "r2"})
    third = put(lineage={"parent": second.id})
    assert [row["checkpoint"] for row in store.lineage(third.id)] == [third.id, second.id, first.id]
    store.delete(first.id)
    assert store.lineage(third.id)[-1] == {"checkpoint": first.id, "problem": "it is not in this store"}


def test_a_backbone_in_use_is_not_deleted(store, put):
    base = put()
    store.tag(base.id, "base")
    manifest = Manifest(
        face="Estimator", task="classify", method="finetune/linear-probe", backbone={"spec": "store/base"}
    )
    user = store.put(manifest, {"w": np.ones(2)})
    assert user.manifest.backbone["spec"] == f"store/{base.id}"
    with pytest.raises(UsageError, match=user.id):
        store.delete(base.id)
    store.delete(user.id)
    store.delete(base.id)
    assert store.checkpoints() == [] and store.tags() == {}


def test_a_damaged_manifest_is_listed_with_its_problem_and_hides_no_other(store, put):
    good, bad = put(), put()
    bad.path.write_text('{"id": "x"')
    rows = {row["checkpoint"]: row for row in store.checkpoints()}
    assert rows[good.id]["problem"] is None and "can't be read" in rows[bad.id]["problem"]
    with pytest.raises(StoreError):
        store.checkpoint(bad.id)


def test_a_manifest_of_a_newer_version_says_so(store, put):
    checkpoint = put()
    checkpoint.path.write_text(checkpoint.path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(StoreError, match="Update"):
        store.checkpoint(checkpoint.id)


def test_damaged_weights_are_never_handed_out_and_are_healed_by_the_next_put(store, put):
    backbone = torch.randn(50, 50)
    checkpoint = put(backbone=backbone)
    blob = store.blobs.path(checkpoint.manifest.tensors["backbone.weight"].blob)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        checkpoint.tensors()
    checkpoint.tensors("head.")
    put(backbone=backbone)
    assert checkpoint.tensors()["backbone.weight"].equal(backbone)


def test_a_rename_only_happens_to_what_is_on_the_disk(store, put, monkeypatch):
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("sync"), fsync(handle))[1])
    monkeypatch.setattr(
        os, "replace", lambda a, b: (calls.append("rename " + os.path.basename(b)[-5:]), replace(a, b))[1]
    )
    put()
    folder_sync = [] if os.name == "nt" else ["sync"]
    blobs = ["sync", "rename", *folder_sync] * 2
    assert [call.split()[0] for call in calls] == blobs + ["sync", "rename", *folder_sync]
    assert calls[len(blobs) + 1] == "rename .json"  # the manifest comes after all that it names

"""What leaves comes back the same; what comes in can't run code, can't climb out, can't fill the disk."""

import io
import json
import pickle
import shutil
import stat
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from studio.core.errors import StoreError, UsageError
from studio.core.home import Home
from studio.store import Store
from studio.store.pickles import pickled


@pytest.fixture
def other(tmp_path):
    """Another home."""
    return Store(Home.find(tmp_path / "other"))


@pytest.fixture
def exported(store, put, tmp_path):
    checkpoint = put(
        files={"labels.json": b"{}"},
        metrics={"accuracy": 0.9, "selection": "source-val"},
        preprocess={"image_size": 224},
        lineage={"run": "r1"},
        title="Cats | <b>dogs</b>",
    )
    store.export(checkpoint.id, tmp_path / "out")
    return tmp_path / "out"


def zipped(folder, path, inside=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, inside + file.relative_to(folder).as_posix())
    return path


def nothing_came_in(store):
    return store.checkpoints() == [] and not list(store.home.blobs.iterdir()) and not list(store.home.uploads.iterdir())


class Bomb:
    """Its unpickling would be seen."""

    def __reduce__(self):
        return (open, ("unpickled.txt", "w"))


@pytest.mark.parametrize("form", ["folder", "zip", "zip with a folder"])
def test_an_exported_checkpoint_comes_back_the_same_in_another_home(store, other, exported, tmp_path, form):
    path = {
        "folder": lambda: exported,
        "zip": lambda: zipped(exported, tmp_path / "x.zip"),
        "zip with a folder": lambda: zipped(exported, tmp_path / "x.zip", "model/"),
    }[form]()
    (row,) = store.checkpoints()
    ours, theirs = store.checkpoint(row["checkpoint"]), other.import_(path)
    assert theirs.manifest == ours.manifest and theirs.file("labels.json") == b"{}"
    assert all(theirs.tensors()[name].equal(tensor) for name, tensor in ours.tensors().items())
    assert other.verify() == [] and not list(other.home.uploads.iterdir())


def test_importing_twice_keeps_one_and_a_changed_one_gets_a_new_name(other, exported):
    first = other.import_(exported)
    assert other.import_(exported).id == first.id and len(other.checkpoints()) == 1
    tensors = {name: tensor + 1 for name, tensor in first.tensors().items()}
    save_file(tensors, exported / "model.safetensors")
    second = other.import_(exported)
    assert second.id != first.id and second.tensors()["head.weight"].equal(tensors["head.weight"])


def test_import_heals_a_damaged_blob_and_a_damaged_manifest(other, exported):
    checkpoint = other.import_(exported)
    other.blobs.path(checkpoint.manifest.tensors["head.weight"].blob).write_bytes(b"")
    assert other.verify()
    other.import_(exported)
    assert other.verify() == []
    checkpoint.path.write_bytes(b"")
    assert other.import_(exported).id == checkpoint.id and other.verify() == []


def test_an_export_says_what_it_is(exported):
    assert {path.name for path in exported.iterdir()} == {
        "model.safetensors",
        "manifest.json",
        "preprocessor.json",
        "README.md",
        "files",
    }
    card = (exported / "README.md").read_text()
    assert card.startswith("---\nlibrary_name:") and "finetune/full" in card and "| accuracy | 0.9 |" in card
    assert "source\\-val" in card and "<b>" not in card
    assert json.loads((exported / "preprocessor.json").read_text()) == {"image_size": 224}


def test_an_export_overwrites_nothing(store, exported):
    with pytest.raises(UsageError, match="not an empty folder"):
        store.export(store.checkpoints()[0]["checkpoint"], exported)
    with pytest.raises(UsageError, match="onnx"):
        store.export(store.checkpoints()[0]["checkpoint"], exported / "new", format="onnx")


def test_a_model_of_timm_or_a_hub_is_kept_with_its_configuration(store, tmp_path):
    save_file({"conv.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    config = {
        "architecture": "resnet18",
        "num_classes": 2,
        "label_names": ["a", "b"],
        "pretrained_cfg": {"input_size": [3, 96, 96]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    timm = store.import_(tmp_path)
    assert (
        timm.manifest.method == "external/resnet18"
        and timm.manifest.classes == ["a", "b"]
        and timm.id.startswith("resnet18-")
    )
    assert timm.manifest.backbone["image_size"] == 96 and json.loads(timm.file("config.json")) == config
    config = {"model_type": "vit", "image_size": 64, "id2label": {"10": "c", "2": "b", "0": "a"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    hub = store.import_(tmp_path)
    assert hub.manifest.classes == ["a", "b", "c"] and hub.manifest.backbone["image_size"] == 64
    assert hub.tensors()["conv.weight"].equal(torch.ones(2, 2)) and store.verify() == []


def torch_file(path):
    torch.save({"w": torch.ones(2)}, path)


def old_torch_file(path):
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)


def pickle_file(path):
    path.write_bytes(pickle.dumps(Bomb()))


def object_array(path):
    with open(path, "wb") as file:
        np.save(file, np.array([Bomb()]), allow_pickle=True)


def object_archive(path):
    with open(path, "wb") as file:
        np.savez_compressed(file, plain=np.zeros(2), objects=np.array([Bomb()]))


PICKLED = [
    (torch_file, "model.pt"),
    (torch_file, "model.zip"),
    (torch_file, "model.safetensors"),
    (old_torch_file, "model.pth"),
    (old_torch_file, "model.safetensors"),
    (torch_file, "pytorch_model.bin"),
    (pickle_file, "model.pkl"),
    (pickle_file, "README.md"),
    (pickle_file, "model.ckpt"),
    (pickle_file, "model.JOBLIB"),
    (object_array, "x.npy"),
    (object_archive, "x.npz"),
]


@pytest.mark.parametrize(("write", "name"), PICKLED)
@pytest.mark.parametrize("how", ["alone", "in a folder", "in a zip"])
def test_a_pickle_is_refused_with_a_way_out_however_it_is_wrapped(
    other, exported, tmp_path, monkeypatch, write, name, how
):
    monkeypatch.chdir(tmp_path)
    if how == "alone":
        path = tmp_path / name
        write(path)
    else:
        write(exported / name)
        path = exported if how == "in a folder" else zipped(exported, tmp_path / "wrapped.zip")
    with pytest.raises(UsageError, match=r"is refused: .*safetensors\.torch\.save_file") as caught:
        other.import_(path)
    assert name in str(caught.value)
    assert nothing_came_in(other) and not (tmp_path / "unpickled.txt").exists()


def test_no_length_of_a_safetensors_header_is_taken_for_a_pickle(tmp_path):
    lengths = set()
    for i in range(400):
        save_file({"n" * (1 + 4 * i): torch.zeros(1)}, tmp_path / "model.safetensors")
        head = (tmp_path / "model.safetensors").read_bytes()
        lengths.add(head[:2])
        assert pickled("model.safetensors", head[:4096]) is None
    assert {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"} <= lengths


def test_plain_arrays_are_no_pickles_but_no_checkpoint_either(other, tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(UsageError, match="model.safetensors"):
        other.import_(tmp_path / "x.npz")
    assert nothing_came_in(other)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/evil.txt",
        "..\\evil.txt",
        "C:\\evil.txt",
        "C:evil.txt",
        "\\evil.txt",
        "a\\..\\..\\evil.txt",
    ],
)
def test_a_zip_that_climbs_out_is_refused(other, exported, tmp_path, name):
    path = zipped(exported, tmp_path / "x.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    before = {file for file in tmp_path.rglob("*")}
    with pytest.raises(UsageError, match="outside of its folder"):
        other.import_(path)
    assert {file for file in tmp_path.rglob("*")} == before and nothing_came_in(other)


def test_a_zip_with_a_link_is_refused(other, exported, tmp_path):
    path = zipped(exported, tmp_path / "x.zip")
    link = zipfile.ZipInfo("files/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UsageError, match="outside of its folder"):
        other.import_(path)
    assert nothing_came_in(other)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(other, exported, tmp_path):
    path = zipped(exported, tmp_path / "x.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.json", bytes(60 << 20))
    with pytest.raises(UsageError, match="zip bomb"):
        other.import_(path)
    crowd = tmp_path / "crowd.zip"
    with zipfile.ZipFile(crowd, "w") as archive:
        for i in range(1500):
            archive.writestr(f"{i}.json", b"{}")
    with pytest.raises(UsageError, match="1500 files"):
        other.import_(crowd)
    assert nothing_came_in(other)


def test_a_zip_that_lies_about_its_sizes_gets_no_more_than_it_said(other, tmp_path):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", bytes(40 << 20))
    data = raw.getvalue().replace(struct.pack("<I", 40 << 20), struct.pack("<I", 10))
    path = tmp_path / "liar.zip"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="can't be unpacked"):
        other.import_(path)
    assert nothing_came_in(other)


def test_damaged_and_unfitting_imports_are_sentences(other, exported, tmp_path):
    def check(words, path=exported):
        with pytest.raises(UsageError, match=words):
            other.import_(path)
        assert nothing_came_in(other)

    check("There is no file", tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("hello")
    check("expected a folder or a .zip", tmp_path / "notes.txt")
    whole = zipped(exported, tmp_path / "x.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    check("can't be imported|can't be unpacked", tmp_path / "cut.zip")
    (tmp_path / "flipped.zip").write_bytes(whole[:60] + bytes([whole[60] ^ 255]) + whole[61:])
    check("can't be unpacked", tmp_path / "flipped.zip")

    manifest = json.loads((exported / "manifest.json").read_text())
    for change, words in [
        ({"id": "../../evil"}, "id"),
        ({"files": {"../evil": {"blob": "0" * 64, "size": 1}}}, "files"),
        ({"files": {"gone.txt": {"blob": "0" * 64, "size": 1}}}, "gone.txt"),
        ({"format_version": 99}, "Update"),
        ({"classes": 3}, "classes"),
        ({"surprise": 1}, "surprise"),
    ]:
        (exported / "manifest.json").write_text(json.dumps({**manifest, **change}))
        check(words)
    (exported / "manifest.json").write_text("{")
    check("can't be read")
    (exported / "manifest.json").write_text(json.dumps(manifest))

    save_file({"head.weight": torch.zeros(1)}, exported / "model.safetensors")
    check("do not belong together")
    (exported / "model.safetensors").write_bytes(b"\x00" * 100)
    check("no readable safetensors")
    (exported / "manifest.json").unlink()
    save_file({"head.weight": torch.zeros(1)}, exported / "model.safetensors")
    check("neither")
    for config, words in [
        ("[]", "expected a JSON object"),
        ("{}", "model_type"),
        ('{"model_type": "../x"}', "model_type"),
    ]:
        (exported / "config.json").write_text(config)
        check(words)
    (exported / "model.safetensors").unlink()
    check("has no model.safetensors")
    shutil.rmtree(exported)
    exported.mkdir()
    check("has no model.safetensors")


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("name", ["files/labels.json", "model.safetensors"])
def test_an_old_pickle_under_an_innocent_name_is_refused(other, exported, tmp_path, name, protocol):
    (exported / name).write_bytes(pickle.dumps(Bomb(), protocol))
    for path in (exported, zipped(exported, tmp_path / "x.zip")):
        with pytest.raises(UsageError, match="JSON, images or safetensors|no readable safetensors"):
            other.import_(path)
    assert nothing_came_in(other)


def test_a_blob_that_is_no_safetensors_is_not_given_to_a_reader(store, put):
    """Its name is right, its manifest names it: only what it holds tells."""
    checkpoint = put()
    (entry, *_) = checkpoint.manifest.tensors.values()
    forged = store.blobs.put(pickle.dumps(Bomb(), 0))
    path = checkpoint.path
    path.write_text(path.read_text().replace(entry.blob, forged))
    with pytest.raises(StoreError, match="no readable safetensors"):
        store.checkpoint(checkpoint.id).tensors()


def test_an_imported_manifest_that_names_a_file_to_the_network_builds_nothing(other, exported):
    from studio.core import registry

    manifest = json.loads((exported / "manifest.json").read_text())
    architecture = {"library": "timm", "name": "test_resnet", "config": None, "arguments": {"checkpoint_path": "/x"}}
    manifest["backbone"] = {"spec": "timm/test_resnet?random", "hash": "0", "architecture": architecture}
    (exported / "manifest.json").write_text(json.dumps(manifest))
    checkpoint = other.import_(exported)
    for options in ({"weights": True}, {"weights": False}, {"weights": False, "architecture": architecture}):
        with pytest.raises(UsageError, match="checkpoint_path"):
            registry.backbone(f"store/{checkpoint.id}", home=other.home, **options)

"""What a run filed for a visitor may open: decided at the doors of data, weights, checkpoints and files, by the run."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.core.rights import Rights
from studio.data import check, open_data
from studio.data.files.limits import LIMITS, limits_of
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Manifest, Store

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hf_secrettokenofthemachine"
VISITOR, OTHER = "visitor01", "visitor02"


def photos(folder: Path, count: int = 4) -> Path:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((24, 24, 3), 40 * number + (100 if name == "cat" else 0), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def machine(tmp_path) -> Path:
    """A folder of the machine with photos, annotations, features, weights, and a text with a secret."""
    folder = photos(tmp_path / "machine")
    (folder / "token").write_text(SECRET)
    (folder / "token.csv").write_text(f"{SECRET},cat\n")
    (folder / "data.yaml").write_text("train: .\nnames: [cat, dog]\n")
    (folder / "coco.json").write_text(json.dumps({"images": [], "annotations": [], "categories": [{"id": 1}]}))
    np.savez(folder / "x.npz", X=np.zeros((8, 3)), Y=np.arange(8) % 2)
    episode = {side: {"a": ["cat/0.png"], "b": ["dog/0.png"]} for side in ("support", "query")}
    (folder / "episodes.json").write_text(json.dumps([episode]))
    return folder


@pytest.fixture
def checkpoint(home) -> str:
    """A checkpoint of this machine's user."""
    return Store(home).put(Manifest(face="Learner", task="classify", method="finetune/full"), {"a": np.zeros(2)}).id


CLASSIFY = {"method": "fewshot/prototypes", "data": {"train": "builtin:digits?per_class=6"},
            "eval": {"episodes": 2, "queries": 1, "shots": 1}, "model": {"backbone": "studio/conv4"}}  # fmt: skip
DETECT = {"task": "detect", "method": "detect/fcos", "data": {"train": "builtin:scenes?images=8&size=64"},
          "train": {"epochs": 1}, "model": {"backbone": "timm/test_resnet?random"}}  # fmt: skip
ALIGN = {"task": "align", "method": "align/coral", "model": {"backbone": "studio/conv4"}}


def attack(base: dict, **changes: str) -> dict:
    values = json.loads(json.dumps(base))
    recipes.override(values, changes)
    return values


ATTACKS = {
    "a folder": attack(CLASSIFY, **{"data.train": "folder:MACHINE"}),
    "another part": attack(CLASSIFY, **{"data.train": "builtin:digits?per_class=3,folder:MACHINE"}),
    "a part without its scheme": attack(CLASSIFY, **{"data.train": "folder:MACHINE/cat,MACHINE/dog"}),
    "val": attack(CLASSIFY, method="finetune/full", **{"data.val": "folder:MACHINE"}),
    "test": attack(CLASSIFY, **{"data.test": "folder:MACHINE"}),
    "a list": attack(CLASSIFY, **{"data.train": "list:MACHINE/token"}),
    "yolo": attack(DETECT, **{"data.train": "yolo:MACHINE/token"}),
    "coco": attack(DETECT, **{"data.train": "coco:MACHINE/coco.json?images=MACHINE"}),
    "voc": attack(DETECT, **{"data.train": "voc:MACHINE"}),
    "arrays": attack(ALIGN, **{"data.source": "npz:MACHINE/x.npz?x=X&y=Y", "data.target": "npz:MACHINE/x.npz?x=X&y=Y"}),
    "a target": attack(ALIGN, **{"data.source": "builtin:digits?per_class=3", "data.target": "folder:MACHINE"}),
    "params.domains": {"task": "align", "method": "align/table",
                       "params": {"domains": "A=folder:MACHINE; B=builtin:digits?per_class=3"}},
    "params.folder": {"task": "align", "method": "align/table",
                      "params": {"folder": "MACHINE", "domains": "A=folder:{folder}/cat; B=folder:{folder}/dog"}},
    "params.base": {"task": "detect", "method": "detect/few-shot", "params": {"base": "coco:MACHINE/coco.json"},
                    "data": {"train": "builtin:scenes?images=8&size=64", "shots": 2}},
    "an episode file": attack(CLASSIFY, **{"eval.episodes_file": "MACHINE/episodes.json"}),
    "weights": attack(CLASSIFY, **{"model.backbone": "file:MACHINE"}),
    "a checkpoint": attack(CLASSIFY, method="finetune/full", **{"model.checkpoint": "CHECKPOINT"}),
    "a backbone of the store": attack(CLASSIFY, **{"model.backbone": "store/CHECKPOINT"}),
    "an ensemble": attack(DETECT, **{"eval.ensemble": ["CHECKPOINT"]}),
    "another home": attack(CLASSIFY, **{"data.train": "folder:HOME/uploads/visitor02/photos"}),
    "a way out": attack(CLASSIFY, **{"data.train": "folder:HOME/uploads/visitor01/../visitor02/photos"}),
    "a link": attack(CLASSIFY, **{"data.train": "folder:HOME/uploads/visitor01/link"}),
    "the uploads themselves": attack(CLASSIFY, **{"data.train": "folder:HOME/uploads/visitor01"}),
    "the hub's data": attack(CLASSIFY, **{"data.train": "hf:owner/private"}),
    "a downloaded set": attack(CLASSIFY, **{"data.train": "torchvision:CIFAR10?root=MACHINE"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_visitors_run_opens_nothing_of_the_machine(name, home, machine, checkpoint):
    own = home.seen_by(VISITOR)
    own.uploads.mkdir(parents=True)
    (own.uploads / "link").symlink_to(machine)
    photos(home.seen_by(OTHER).uploads / "photos")
    text = json.dumps(ATTACKS[name]).replace("MACHINE", str(machine)).replace("HOME", str(home.root))
    recipe = recipes.parse(json.loads(text.replace("CHECKPOINT", checkpoint)))
    with pytest.raises(UsageError) as refused:
        submit(recipe, Store(own))
    assert Store(home).runs() == []
    run = Store(own).new_run(recipe)  # had it been filed, by whatever way
    result = run_inline(run, home, should_stop=lambda: False)  # as a worker does: the run says for whom
    assert result.status == "failed", result
    hidden = "There is no checkpoint" if "CHECKPOINT" in json.dumps(ATTACKS[name]) else "hosted for others"
    assert hidden in result.error, result.error
    assert str(refused.value) == result.error
    assert SECRET not in "".join(path.read_text(errors="replace") for path in run.path.rglob("*") if path.is_file())


def test_the_same_recipe_is_this_machines_users_to_run(home, machine):
    values = json.loads(json.dumps(ATTACKS["a folder"]).replace("MACHINE", str(machine)))
    result = run_inline(submit(recipes.parse(values), Store(home)), home, should_stop=lambda: False)
    assert result.status == "finished", result.error


def test_a_visitors_run_uses_what_it_uploaded_and_leaves_a_checkpoint_of_its_own(home):
    own = home.seen_by(VISITOR)
    values = attack(CLASSIFY, **{"data.train": f"folder:{photos(own.uploads / 'photos')}"})
    run = submit(recipes.parse(values), Store(own))
    result = run_inline(run, home, should_stop=lambda: False)
    assert result.status == "finished", result.error
    assert [row["checkpoint"] for row in Store(own).checkpoints()] == [result.checkpoint]
    assert Store(home.seen_by(OTHER)).checkpoints() == [] and Store(home.seen_by(OTHER)).runs() == []
    assert [row["run"] for row in Store(home).runs()] == [run.id]
    for ask in (lambda store: store.run(run.id), lambda store: store.run("last"), lambda store: store.run(run.id[:9]),
                lambda store: store.checkpoint(result.checkpoint), lambda store: store.checkpoint(run.id),
                lambda store: store.checkpoint(result.checkpoint[:6])):  # fmt: skip
        with pytest.raises(UsageError, match="There (is|are) no"):
            ask(Store(home.seen_by(OTHER)))


def test_whose_a_run_is_stands_beside_the_recipe_and_not_in_it(home):
    with pytest.raises(UsageError, match="visitor"):
        recipes.parse({**CLASSIFY, "visitor": None})
    run = submit(recipes.parse(CLASSIFY), Store(home.seen_by(VISITOR)))
    assert Store(home).run(run.id).visitor() == VISITOR
    assert submit(recipes.parse(CLASSIFY), Store(home)).visitor() is None


def test_a_checkpoint_that_says_whose_it_is_is_not_believed(home):
    manifest = Manifest(face="Learner", task="classify", method="finetune/full", lineage={"visitor": VISITOR})
    kept = Store(home).put(manifest, {"a": np.zeros(2)})
    assert "visitor" not in kept.manifest.lineage and Store(home.seen_by(VISITOR)).checkpoints() == []


def test_cleaning_up_for_a_visitor_frees_nothing_of_others(home, checkpoint):
    Store(home.seen_by(VISITOR)).gc()
    assert Store(home).verify(checkpoint) == []


def test_an_upload_that_names_files_elsewhere_opens_none_of_them(home, machine):
    own = home.seen_by(VISITOR)
    photos(own.uploads / "set")
    (own.uploads / "set" / "list.csv").write_text(f"{machine}/cat/0.png,cat\n../../../machine/dog/0.png,dog\n")
    (own.uploads / "set" / "data.yaml").write_text(f"train: {machine}/token.csv\nnames: [cat, dog]\n")
    (own.uploads / "set" / "away.yaml").write_text(f"path: {machine}\ntrain: cat\nnames: [cat, dog]\n")
    (own.uploads / "set" / "link.csv").symlink_to(machine / "token.csv")
    limits = limits_of(own)
    for spec in (
        f"list:{own.uploads}/set/list.csv", f"list:{own.uploads}/set/list.csv?root={machine}",
        f"list:{own.uploads}/set/link.csv", f"yolo:{own.uploads}/set/data.yaml", f"yolo:{own.uploads}/set/away.yaml",
        f"list:{own.uploads}/set/list.csv?root=~",
    ):  # fmt: skip
        with pytest.raises(UsageError) as refused:
            open_data(spec, limits)
        assert SECRET not in str(refused.value)
    photos(own.uploads / "plain")
    assert len(open_data(f"folder:{own.uploads}/plain", limits)) == 8
    with pytest.raises(DataError, match="hosted for others"):
        check(f"folder:{machine}", own)


def test_what_may_not_be_read_is_refused_alike_whether_it_is_there_or_not(home, machine):
    rights = home.seen_by(VISITOR).rights
    answers = set()
    for path in (machine / "token", machine / "nothing", Path("~/.ssh/id_rsa"), Path("~nobody-such/x"), Path("\0")):
        with pytest.raises(UsageError) as refused:
            rights.require(path, "data")
        answers.add(str(refused.value))
    assert len(answers) == 1


def test_a_visitor_has_smaller_limits_and_no_hub_token(home, monkeypatch):
    own = home.seen_by(VISITOR)
    assert limits_of(own).images < LIMITS.images and limits_of(None) is LIMITS
    assert limits_of(home) == replace(LIMITS, home=home) and limits_of(home).rights.local
    assert own.rights.hub_token is False and home.rights.hub_token is None and Rights().local
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo, **options: asked.append(options) or 1 / 0)
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    for seen, spec in ((own, "hf/owner/private"), (own, "timm/resnet18"), (home, "hf/owner/private")):
        with pytest.raises(UsageError):
            registry.backbone(spec, home=seen)
    hosted, timm, local = asked
    assert hosted["token"] is False and timm["token"] is False and "token" not in local
    assert Path(hosted["cache_dir"]).is_relative_to(home.root)  # not the owner's, which holds what the token opened


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 65, "UPPER123", "visitor 1"])
def test_a_visitors_name_leads_nowhere(home, name):
    with pytest.raises(ValueError):
        home.seen_by(name)


def test_every_door_in_the_rooms_where_runs_work_is_told_who_asks():
    """open_data and registry.backbone take this machine's user where nobody is named: here somebody always is."""
    for file in [file for room in ("adapters", "fewshot", "studio/runs") for file in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                text = ast.unparse(node)
                constant = bool(node.args) and isinstance(node.args[0], ast.Constant)
                if text.startswith("open_data(") and not constant:
                    assert "limits" in text, f"{file}: {text}"
                if text.startswith("read_episodes("):
                    assert "rights" in text, f"{file}: {text}"
                if text.startswith("registry.backbone("):
                    assert "home=" in text, f"{file}: {text}"
                opening = ("images(", "given_splits(", "resolve_splits(", "resolve_box_splits(", "target_of(")
                if text.startswith(opening):
                    assert "home" in text, f"{file}: {text}"


def test_a_new_home_is_its_owners_alone(tmp_path):
    home = Home.find(tmp_path / "new")
    assert home.root.stat().st_mode & 0o077 == 0

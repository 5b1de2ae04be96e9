"""The command line: every command of the contract answers, in words or as one JSON value."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio import cli

CONTRACT = (
    "ui", "demo", "presets", "methods", "backbones", "run", "resume", "stop", "runs", "show", "predict",
    "checkpoints", "verify", "gc", "import", "export", "data", "doctor",
)  # fmt: skip
QUICK = [
    "--set", "method=finetune/linear-probe", "--set", "model.backbone=studio/conv4", "--set", "model.image_size=16",
    "--set", "data.train=builtin:digits?per_class=10",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cli") / "home"


@pytest.fixture
def call(home, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setenv("STUDIO_HOME", str(home))
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def trained(call):
    code, out, _ = call("run", "quickstart", *QUICK, "--json")
    assert code == 0
    return json.loads(out.strip().splitlines()[-1])


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.eye(16, dtype=np.uint8) * 200).save(path)
    return path


def test_every_command_of_the_contract_exists():
    assert set(CONTRACT) <= set(cli.COMMANDS)


@pytest.mark.parametrize("command", ["presets", "methods", "backbones", "runs", "checkpoints", "doctor"])
def test_listings_are_tables_for_people_and_json_for_scripts(call, command):
    code, out, _ = call(command, "--json")
    assert code == 0 and isinstance(json.loads(out), (list, dict))
    assert call(command)[0] == 0


def test_a_dry_run_prints_the_recipe_and_starts_nothing(call):
    code, out, _ = call("run", "quickstart", "--dry-run", "--set", "eval.shots=1")
    assert code == 0 and "shots: 1" in out and "method: fewshot/prototypes" in out


def test_a_checkpoint_is_predicted_verified_exported_and_imported(call, trained, photo, tmp_path):
    code, out, _ = call("predict", trained["checkpoint"], photo, "--json", "--out", tmp_path / "p")
    row = json.loads(out)[0]
    assert code == 0 and row["label"] in list("0123456789") and len(row["topk"]) == 5
    assert "photo.png" in (tmp_path / "p" / "predictions.csv").read_text()
    assert call("verify", trained["checkpoint"])[0] == 0
    code, out, _ = call("export", trained["checkpoint"], "--out", tmp_path / "out", "--json")
    assert code == 0 and "model.safetensors" in json.loads(out)["files"]
    code, out, _ = call("import", tmp_path / "out", "--json")
    again = json.loads(out)["checkpoint"]
    assert json.loads(call("predict", again, photo, "--json")[1])[0]["label"] == row["label"]
    assert call("gc", "--dry-run")[0] == 0


def test_a_few_shot_answer_in_json_is_plain_data(call, photo):
    code, out, _ = call(
        "run", "quickstart", "--set", "model.backbone=studio/conv4", "--set", "model.image_size=16", "--json"
    )
    assert code == 0
    checkpoint = json.loads(out.strip().splitlines()[-1])["checkpoint"]
    code, out, _ = call("predict", checkpoint, photo, "--json")
    assert code == 0 and json.loads(out)[0]["nearest"] and "PIL" not in out


def test_onnx_gives_the_same_logits_or_is_refused(call, trained, tmp_path):
    pytest.importorskip("onnxruntime")
    code, out, err = call("export", trained["checkpoint"], "--format", "onnx", "--out", tmp_path / "onnx", "--json")
    assert code == 0, err
    assert "model.onnx" in json.loads(out)["files"]


def test_the_formats_of_the_command_line_are_those_that_are_written(call, capsys):
    from studio.runs.export import WRITERS

    with pytest.raises(SystemExit):
        call("export", "--help")
    assert "{" + ",".join(WRITERS) + "}" in re.sub(r"\s", "", capsys.readouterr().out)


def test_a_run_can_be_shown_in_full(call, trained):
    code, out, _ = call("show", trained["run"], "--json")
    values = json.loads(out)
    assert (
        code == 0 and values["status"] == "finished" and values["metrics"]["accuracy"] == trained["metrics"]["accuracy"]
    )
    assert values["tables"] and all(Path(figure).is_file() for figure in values["figures"])
    assert call("show", "last")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "quikstart"], "quickstart"),
        (["run", "quickstart", "--set", "train.epoch=3"], "epochs"),
        (["run", "quickstart", "--set", "train.lr"], "KEY=VALUE"),
        (["run", "quickstart", "--set", "data.train=folder:/nowhere"], "/nowhere"),
        (["methods", "--task", "classfy"], "classify"),
        (["show", "nothing-like-it"], "nothing-like-it"),
        (["predict", "no-such-checkpoint", "x.jpg"], "x.jpg"),
        (["data", "check", "foldr:x"], "folder"),
        (["ui", "--auth", "nopassword"], "USER:PASSWORD"),
    ],
)
def test_wrong_usage_is_code_2_with_what_would_be_right(call, arguments, word):
    code, _, err = call(*arguments)
    assert code == 2 and word in err


def test_an_unknown_command_names_the_nearest(call, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["predikt"])
    assert ended.value.code == 2 and "'predict'" in capsys.readouterr().err


def test_a_pickle_is_not_imported(call, tmp_path):
    import torch

    torch.save({"w": torch.zeros(2)}, tmp_path / "model.pt")
    code, _, err = call("import", tmp_path / "model.pt")
    assert code != 0 and "safetensors" in err


def test_a_dataset_is_reported(call):
    code, out, _ = call("data", "check", "builtin:digits?per_class=3", "--json")
    assert code == 0 and json.loads(out)["images"] == 30

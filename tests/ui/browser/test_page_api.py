"""The page from a script, as its docs tell."""

import re
from pathlib import Path

import pytest
from person import ROOT
from PIL import Image

from studio.runs.tools import tools


@pytest.mark.slow
def test_the_client_of_the_docs_trains_predicts_and_exports(served, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    Image.new("RGB", (24, 24), "white").save(tmp_path / "new.png")
    small = '"eval.shots": 2, "eval.episodes": 5, "model.backbone": "studio/conv4", "model.image_size": 16'
    changes = {
        "http://127.0.0.1:7860": served[1], "folder:photos": "builtin:digits?per_class=8", '"eval.shots": 5': small,
        "new.jpg": str(tmp_path / "new.png"), "time.sleep(1)": "time.sleep(0.1)",
    }  # fmt: skip
    for old, new in changes.items():
        assert old in code, old
        code = code.replace(old, new)
    printed = []
    names = {"print": lambda *values: printed.append(values)}
    exec(code, names)
    (classes,), (metrics,), (label, score), (files,) = printed
    assert len(classes) == 10 and 0 <= metrics["accuracy"] <= 1
    assert label in classes and 0 <= score <= 1
    assert any(file.endswith(".safetensors") for file in files) and all(Path(file).is_file() for file in files)
    assert names["run"] in {row["run"] for row in names["studio"].predict(api_name="/list_runs")}


def test_what_can_be_called_over_the_network_is_what_the_docs_list(served):
    from gradio_client import Client

    client = Client(served[1], verbose=False)
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(/[a-z_]+)`", text[: text.index("A whole client")])) - {"/gradio_api"}
    tool_endpoints = {f"/tool_{tool.name.replace('-', '_')}" for tool in tools()}
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == listed | tool_endpoints
    assert any(row["name"] == "quickstart" for row in client.predict(api_name="/list_presets"))
    with pytest.raises(Exception, match="no image"):
        client.predict("last", None, 3, api_name="/predict")

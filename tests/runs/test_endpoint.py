"""Serving: what is asked is answered, what is too much is refused, and torch is never there."""

import asyncio
import io
import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from studio.core.errors import UsageError
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input
from studio.runs.serve.app import ServeLimits, build_app
from studio.runs.serve.batches import Batches
from studio.runs.serve.exported import Exported, open_exported
from studio.runs.serve.image_input import input_of

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SMALL = Preprocess(image_size=16, mean=(0.5, 0.5, 0.5), std=(0.1, 0.1, 0.1))


def photo(colour: str, size: tuple[int, int] = (24, 32)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(file, "PNG")
    return file.getvalue()


def client(**limits) -> TestClient:
    """Of a network that names the strongest colour."""
    model = Exported("colours-1", "onnx", list(COLOURS), SMALL, lambda images: images.mean(axis=(2, 3)))
    return TestClient(build_app(model, ServeLimits(**limits)))


def test_an_image_is_named_as_a_body_or_as_files_of_a_form():
    served = client()
    answer = served.post("/predict?topk=2", content=photo("green")).json()
    (row,) = answer["predictions"]
    assert answer["model"] == "colours-1" and row["label"] == "green" and row["score"] > 0.99 and len(row["topk"]) == 2
    files = [("a", ("r.png", photo("red"))), ("a", ("broken.png", b"no image")), ("b", ("b.png", photo("blue")))]
    rows = served.post("/predict", files=files).json()["predictions"]
    assert [row.get("label") for row in rows] == ["red", None, "blue"] and "broken.png" in rows[1]["error"]
    assert served.get("/health").json()["classes"] == list(COLOURS)


@pytest.mark.parametrize(
    ("asked", "status", "reason"),
    [
        ({"content": b""}, 400, "empty"),
        ({"content": b"no image"}, 415, "image"),
        ({"content": photo("red", (200, 200))}, 413, "200 x 200 pixels; 10,000 are taken"),
        ({"content": b"x" * 5000}, 413, "MB"),
        ({"content": iter([b"x" * 3000, b"x" * 3000])}, 413, "MB"),  # whose length is not stated
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, "form"),
        ({"files": [("a", photo("red"))] * 3}, 400, "form"),
        ({"content": photo("red"), "params": {"topk": "all"}}, 400, "topk"),
    ],
)  # fmt: skip
def test_what_can_not_be_answered_is_refused_in_a_sentence(asked, status, reason):
    answer = client(request_bytes=4096, pixels=10_000, images=2).post("/predict", **asked)
    assert answer.status_code == status and reason in answer.json()["error"]


def test_more_than_the_queue_holds_is_told_to_come_again_and_counted():
    served = client(queue=0)
    answer = served.post("/predict", content=photo("red"))
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
    assert 'studio_requests_total{status="429"} 1.0' in served.get("/metrics").text
    assert served.get("/").status_code == 404 and served.get("/predict").status_code == 405


def test_what_waits_is_answered_together_and_an_error_reaches_all():
    sizes = []

    def run(images):
        if (images < 0).any():
            raise ValueError("negative")
        return images[:, 0, 0]

    async def ask():
        batches = Batches(run, 4, sizes.append)
        images = [np.full((1, 1, 2), number, np.float32) for number in range(6)]
        rows = await asyncio.gather(*(batches.logits([image]) for image in images))
        failed = await asyncio.gather(
            *(batches.logits([image - 9]) for image in images[:2]), return_exceptions=True
        )  # fmt: skip
        return [row[0, 0] for row in rows], failed

    rows, failed = asyncio.run(ask())
    assert rows == list(range(6)) and max(sizes) <= 4 < sum(sizes) and len(sizes) < 8
    assert all(isinstance(error, ValueError) for error in failed)


@pytest.mark.parametrize("preprocess", [Preprocess(32), Preprocess(32, squash=True), Preprocess(32, 1.0, "bilinear")])
def test_the_input_is_what_training_saw(preprocess):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((90, 120), Image.Resampling.BICUBIC)
    seen = normalize(to_input(noise, preprocess)[None], preprocess)[0].numpy()
    apart = np.abs(input_of(noise, preprocess) - seen) * np.array(preprocess.std)[:, None, None] * 255
    assert apart.max() <= 2.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An export that names the strongest colour."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    made = tmp_path_factory.mktemp("export")
    nodes = [helper.make_node("GlobalAveragePool", ["images"], ["means"]),
             helper.make_node("Flatten", ["means"], ["logits"])]  # fmt: skip
    graph = helper.make_graph(
        nodes, "colours", [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 3])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), made / "model.onnx")
    facts = {"classes": list(COLOURS), "preprocess": SMALL.to_dict(), "output": "logits [batch, classes]"}
    (made / "model.json").write_text(json.dumps(facts))
    return made


def test_only_exports_of_classifiers_are_served(folder, tmp_path):
    with pytest.raises(UsageError, match="launch.py export"):
        open_exported(tmp_path)
    facts = json.loads((folder / "model.json").read_text())
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    (tmp_path / "model.json").write_text(json.dumps({**facts, "output": "logits [1, queries, classes]"}))
    with pytest.raises(UsageError, match="classifiers"):
        open_exported(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_without_torch_answers_many_at_once(folder, tmp_path, workers):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["serve", str(folder), "--port", str(port), "--workers", str(workers), "--threads", "1"]
    with open(tmp_path / "log", "w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "studio.cli", *argv], stdout=log, stderr=log, cwd=ROOT
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, process)
            names = list(COLOURS) * 67
            with httpx.Client() as http, ThreadPoolExecutor(20) as clients:

                def ask(name):
                    return http.post(f"{address}/predict", content=photo(name), timeout=60).json()["predictions"]

                rows = list(clients.map(ask, names))
                assert [row[0]["label"] for row in rows] == names
                counted = http.get(f"{address}/metrics").text
            assert sum(map(float, re.findall(r'studio_requests_total\{status="200"\} (\S+)', counted))) == len(names)
        finally:
            process.terminate()
            process.wait(30)
        log.seek(0)
        imported = re.findall(r"\| +([\w.]+)$", log.read(), re.MULTILINE)
    assert "onnxruntime" in imported and not [
        name for name in imported if name.split(".")[0] in ("torch", "torchvision")
    ]


def wait_for(address: str, process: subprocess.Popen) -> None:
    for _ in range(1200):
        assert process.poll() is None, "it has ended"
        try:
            return httpx.get(f"{address}/health").raise_for_status() and None
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("it never answered")

"""Every network for masks as ONNX, compared with torch on scenes, or the sentence that refuses it.

    python benchmarks/segment_exports.py [METHOD ...] [--size 96] [--rows FILE]

Networks are untrained heads on the backbones of segment_overfit.py. One row each: images of which size the file takes,
the largest difference of the logits in shares of their spread, its megabytes and the seconds that writing took.
`--rows` keeps rows in a file: a second call goes on where the first was ended.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from adapters.segment.exporters import write_onnx
from adapters.segment.instances.predictor import ThingPredictor
from adapters.segment.run.predictor import MaskPredictor
from adapters.segment.run.views import Look
from benchmarks.segment_overfit import THINGS, backbone_of, made, networks, scenes, scenes_of_things
from studio.core.errors import StudioError
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=networks())
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rows", type=Path, help="a file of the rows that are there already")
    asked = parser.parse_args()
    rows = {}
    if asked.rows and asked.rows.exists():
        rows = {row["method"]: row for row in map(json.loads, asked.rows.read_text().splitlines())}
    for method in asked.methods:
        if method not in rows:
            rows[method] = {"method": method, **exported(method, asked.size)}
            if asked.rows:
                with asked.rows.open("a") as out:
                    out.write(json.dumps(rows[method]) + "\n")
        row = rows[method]
        print(f"{method:29}{row['megabytes']:7.1f} MB{row['seconds']:6.0f} s  {row['said']}", flush=True)
    return 0


def exported(method: str, size: int) -> dict[str, str | float]:
    """What the export of a network says, the size of its file and how long it took."""
    preprocess = Preprocess(size)
    if method in THINGS:
        things, classes = scenes_of_things(size)
        learner, images = made(method, backbone_of(method), size, classes, {}), things.pixels
        predictor = ThingPredictor(learner, classes, preprocess, "cpu", 0.5)
    else:
        split, classes = scenes(size)
        learner, images = made(method, backbone_of(method), size, classes), np.stack(split.images)
        predictor = MaskPredictor(learner, classes, preprocess, "cpu", Look(size))
    model = SimpleNamespace(predictor=predictor, classes=classes, checkpoint=manifest_of(method))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            said, _ = write_onnx(model, normalize(torch.from_numpy(images), preprocess), Path(folder))
        except StudioError as error:
            said = f"refused: {error}"
        megabytes = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
    return {"said": said, "megabytes": megabytes, "seconds": time.monotonic() - begun}


def manifest_of(method: str) -> SimpleNamespace:
    """As much of a checkpoint as an export reads."""
    return SimpleNamespace(manifest=SimpleNamespace(method=method))


if __name__ == "__main__":
    sys.exit(main())

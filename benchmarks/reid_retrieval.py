"""Characters as individuals: images found in a gallery beside few-shot prototypes, on the same frozen features.

    python benchmarks/reid_retrieval.py OMNIGLOT [--learn ALPHABET+...] [--test ALPHABET+...] [--size 96]

OMNIGLOT is as for `omniglot:`. Each drawing of the test alphabets asks all the others: rank 1, mAP and mINP by the
angle between features, and by a metric that was solved on the characters of the other alphabets. Beside: episodes of
the same characters by the same features, classified by prototypes.
"""

import argparse
import tempfile
from pathlib import Path

from studio import run
from studio.core.home import Home
from studio.data import open_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("omniglot")
    parser.add_argument("--learn", help="alphabets that the metrics learn from; by default the first half")
    parser.add_argument("--test", help="alphabets that are scored; by default the others")
    parser.add_argument("--size", type=int, default=96)
    asked = parser.parse_args()
    path = Path(asked.omniglot).resolve()
    names = sorted({str(item.domain) for item in open_data(f"omniglot:{path}").items})
    learn, test = asked.learn or "+".join(names[: len(names) // 2]), asked.test or "+".join(names[len(names) // 2 :])
    specs = {"data.train": f"omniglot:{path}?alphabets={learn}", "data.test": f"omniglot:{path}?alphabets={test}"}
    print(f"learned from {learn}, scored on {test}")
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder))
        for metric in ("cosine", "whitening", "kissme"):
            keys = {**specs, "method": "reid/frozen", "model.image_size": asked.size, "params.metric": metric}
            metrics = run("reid-quick", keys, home=home).metrics
            print(f"{metric:12} rank 1 {100 * metrics['rank1']:5.1f}  mAP {100 * metrics['map']:5.1f}  mINP "
                  f"{100 * metrics['minp']:5.1f}  ({metrics['queries']} queries, {metrics['identities']} characters)",
                  flush=True)  # fmt: skip
        for ways, shots in ((5, 1), (5, 5), (20, 1), (20, 5)):
            keys = {
                "data.train": specs["data.test"], "method": "fewshot/prototypes", "model.image_size": asked.size,
                "eval.ways": ways, "eval.shots": shots, "eval.queries": 10,
            }  # fmt: skip
            metrics = run("quickstart", keys, home=home).metrics
            print(f"prototypes, {ways} ways, {shots} shots: accuracy {100 * metrics['accuracy']:.1f} +- "
                  f"{100 * metrics['accuracy_ci95']:.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

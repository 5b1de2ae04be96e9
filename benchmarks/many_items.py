"""Listing and checking data sets of very many items: seconds, and what memory they take at most.

    python benchmarks/many_items.py SCRATCH [--images 100000 1000000] [--kinds folder shards check] [--photos 100000]

SCRATCH gets `--photos` JPEGs of 32 pixels, folders of so many links to them, in ten classes, and WebDataset's shards of
50,000 samples each (photo and class). Each is worked on in a process of its own: `folder` and `shards` open the data
set, whose headers are read, `check` is `launch.py data check` of the folder, which decodes every image and looks for
copies. Seconds are by the clock; memory is the peak of the process, of which `none` (imports alone) is told apart.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
from itertools import cycle, islice
from pathlib import Path

from benchmarks.embed_many import make_folder

ROOT = Path(__file__).resolve().parents[1]
IN_SHARD = 50_000
#: opens or checks the data of a spec, and says how many images there are, seconds, and MiB at most
MEASURE = """
import json, sys, time
from studio.core.resident import peak_bytes
from studio.data import check, open_data
work = check if sys.argv[1] == "check" else open_data
begun, result = time.perf_counter(), work(sys.argv[2]) if sys.argv[2] else None
images = getattr(result, "images", None) or len(getattr(result, "items", ()))
print(json.dumps({"images": images, "s": round(time.perf_counter() - begun, 1), "mb": round(peak_bytes() / 2**20)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=("folder", "shards", "check"), default=["folder", "shards"])
    parser.add_argument("--photos", type=int, default=100_000)
    args = parser.parse_args()
    make_folder(args.scratch / "photos", args.photos, 32)
    photos = sorted((args.scratch / "photos").rglob("*.jpg"))
    print(json.dumps({"kind": "none", **measure("none", "")}), flush=True)
    for count in args.images:
        for kind in args.kinds:
            make = shards if kind == "shards" else folder
            spec = make(args.scratch / f"{make.__name__}-{count}", photos, count)
            print(json.dumps({"kind": kind, **measure(kind, spec)}), flush=True)


def measure(kind: str, spec: str) -> dict[str, float]:
    command, environment = [sys.executable, "-c", MEASURE, kind, spec], {**os.environ, "PYTHONPATH": str(ROOT)}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def folder(root: Path, photos: list[Path], count: int) -> str:
    if not root.exists():
        for number, photo in enumerate(islice(cycle(photos), count)):
            link = root / photo.parent.name / f"{number:07d}.jpg"
            if number < len(photos):
                link.parent.mkdir(parents=True, exist_ok=True)
            os.link(photo, link)
    return f"folder:{root}"


def shards(root: Path, photos: list[Path], count: int) -> str:
    if not root.exists():
        root.mkdir()
        for number, photo in enumerate(islice(cycle(photos), count)):
            if number % IN_SHARD == 0:
                tar = tarfile.open(root / f"{number // IN_SHARD:03d}.tar", "w")  # noqa: SIM115
            for suffix, content in (("jpg", photo.read_bytes()), ("cls", photo.parent.name.encode())):
                member = tarfile.TarInfo(f"{number:07d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            if number % IN_SHARD == IN_SHARD - 1 or number == count - 1:
                tar.close()
    return f"wds:{root}/{{000..{(count - 1) // IN_SHARD:03d}}}.tar"


if __name__ == "__main__":
    main()

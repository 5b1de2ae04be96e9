"""Many clients at once ask a served checkpoint: errors, requests a second, and how long a request takes.

    python benchmarks/serve_load.py CHECKPOINT --photos FOLDER [--requests 1000] [--clients 20] [--form onnx-int8]

Starts `launch.py serve` in a process of its own. CHECKPOINT may be a folder that `export` wrote. Prints one JSON line.
"""

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import httpx
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--form", default="onnx")
    parser.add_argument("--port", type=int, default=8017)
    args = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(args.photos.rglob("*.jpg"))]
    command = [
        sys.executable,
        "-m",
        "studio.cli",
        "serve",
        args.checkpoint,
        "--form",
        args.form,
        "--port",
        str(args.port),
    ]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{args.port}"
        wait_for(address, server)
        with httpx.Client(limits=httpx.Limits(max_connections=args.clients), timeout=120) as http:
            print(json.dumps({"form": args.form, **load(http, address, photos, args.requests, args.clients)}))
    finally:
        server.terminate()
        server.wait()


def load(http: httpx.Client, address: str, photos: list[bytes], requests: int, clients: int) -> dict[str, float]:
    """Each client asks as soon as its last answer is there."""

    def ask(photo: bytes) -> tuple[int, float]:
        begun = time.perf_counter()
        answer = http.post(f"{address}/predict", content=photo)
        return answer.status_code, time.perf_counter() - begun

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(ask, islice(cycle(photos), requests)))
    seconds = time.perf_counter() - begun
    spent = np.array([spent for _, spent in answers])
    return {
        "requests": requests,
        "clients": clients,
        "errors": sum(status != 200 for status, _ in answers),
        "requests_per_s": round(requests / seconds, 1),
        "p50_ms": round(1000 * float(np.median(spent)), 1),
        "p95_ms": round(1000 * float(np.quantile(spent, 0.95)), 1),
    }


def wait_for(address: str, server: subprocess.Popen) -> None:
    while server.poll() is None:
        try:
            httpx.get(f"{address}/health").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)
    sys.exit("The server has ended; start `launch.py serve` by hand to read why.")


if __name__ == "__main__":
    main()

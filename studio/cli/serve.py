"""A checkpoint at work: served over HTTP without torch, and measured in every form."""

import argparse

from studio.cli.parser import command, count, json_option
from studio.core.home import Home


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint, or a folder that `export` wrote")
    parser.add_argument("--form", choices=["onnx", "onnx-int8", "onnx-fp16", "openvino"], default="onnx",
                        help="written on first use, then kept (default: onnx)")  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=count, default=1, help="processes, each with its own network")
    parser.add_argument("--threads", type=count, help="of a worker (default: its share of the cores)")
    parser.add_argument("--batch", type=count, default=16, help="images in one call of the network, at most")
    parser.add_argument("--queue", type=count, default=64, help="requests of a worker at once; more are told 429")
    parser.add_argument("--max-mb", type=count, default=16, help="of a request; larger ones are told 413")
    parser.add_argument("--max-megapixels", type=count, default=50, help="of an image; larger ones are told 413")


@command("serve", "answer over HTTP, without torch", _serve_arguments)
def serve(args: argparse.Namespace) -> int:
    from studio.runs.serve.app import ServeLimits
    from studio.runs.serve.process import exported_folder
    from studio.runs.serve.process import serve as serve_folder
    from studio.terminal import say

    limits = ServeLimits(
        request_bytes=args.max_mb * 2**20, pixels=args.max_megapixels * 1_000_000, queue=args.queue, batch=args.batch
    )
    folder = exported_folder(args.checkpoint, args.form, Home.find())
    say(_how_to_ask(args.host, args.port))
    serve_folder(folder, args.host, args.port, args.workers, args.threads, limits)
    return 0


def _how_to_ask(host: str, port: int) -> str:
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"
    return (
        f"Serving on {address} until Ctrl-C; GET /health and /metrics. Ask it with:\n\n"
        f"    curl --data-binary @photo.jpg {address}/predict\n"
        f"    curl -F image=@a.jpg -F image=@b.jpg '{address}/predict?topk=3'\n\n"
        "or in Python:\n\n"
        "    import httpx\n"
        f'    print(httpx.post("{address}/predict", content=open("photo.jpg", "rb").read()).json())\n'
    )


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint")
    parser.add_argument("--batch", type=count, default=1, help="images in a call (default: 1)")
    parser.add_argument("--threads", type=count, help="default: all cores")
    json_option(parser)


@command("bench", "measure every form of a classifier on this machine", _bench_arguments)
def bench(args: argparse.Namespace) -> int:
    from studio.runs.bench import bench as measure
    from studio.terminal import say, show_rows

    rows = measure(args.checkpoint, Home.find(), args.batch, args.threads, say)
    return show_rows(rows, ["form", "ms", "images_per_s", "size_mb", "speedup"], args.json, "forms")

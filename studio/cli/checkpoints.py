"""Checkpoints: listed, verified, brought in and written for other tools."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.cli.parser import command, json_option, share
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.stdout import print_json


@command("checkpoints", "list checkpoints", json_option)
def checkpoints(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import show_rows

    return show_rows(
        Store(Home.find()).checkpoints(),
        ["checkpoint", "method", "created", "classes", "tags"],
        args.json,
        "checkpoints",
    )


@command(
    "verify",
    "check the store's files against their hashes",
    lambda p: (p.add_argument("checkpoint", nargs="?"), json_option(p)),
)
def verify(args: argparse.Namespace) -> int:
    from studio.store import Store, sharing
    from studio.terminal import say

    problems = [str(problem) for problem in Store(Home.find()).verify(args.checkpoint)]
    if args.checkpoint is None and (bucket := sharing.bucket_of_environment()):
        problems += map(str, sharing.verify(bucket))
    if args.json:
        print_json({"problems": problems})
    else:
        say("\n".join(problems) or "Everything is as it was written.")
    return 1 if problems else 0


@command(
    "gc",
    "remove data that nothing refers to",
    lambda p: (p.add_argument("--dry-run", action="store_true"), json_option(p)),
)
def gc(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import say

    report = Store(Home.find()).gc(dry_run=args.dry_run)
    if args.json:
        print_json(report)
    else:
        did = "Would remove" if args.dry_run else "Removed"
        say(f"{did} {len(report['removed'])} files, {report['bytes'] / 2**20:.1f} MB.")
    return 0


@command("import", "bring a checkpoint in from a folder or zip", lambda p: (p.add_argument("path"), json_option(p)))
def import_(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import say

    checkpoint = Store(Home.find()).import_(Path(args.path))
    print_json({"checkpoint": checkpoint.id}) if args.json else say(f"Imported as {checkpoint.id}")
    return 0


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint")
    parser.add_argument(
        "--format", default="safetensors",
        choices=["safetensors", "onnx", "onnx-fp16", "onnx-int8", "openvino", "hf", "film-filter"],
        help="fp16, int8 and OpenVINO: of classifiers, judged beside float ONNX; film-filter: of translators, with a "
        "script that needs no torch",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--push", metavar="ORG/NAME", help="upload to the Hugging Face Hub, with the token in HF_TOKEN")
    parser.add_argument(
        "--personal", action="store_true", help="take along data of persons, such as a gallery; not with --push"
    )
    parser.add_argument("--public", action="store_true", help="with --push: anyone may see it (default: private)")
    parser.add_argument(
        "--data",
        metavar="SPEC",
        help="labelled images to calibrate and judge a smaller form on (default: the run's own)",
    )
    parser.add_argument(
        "--max-drop", type=share, default=0.01, metavar="SHARE",
        help="how much less accurate than float a smaller form may be (default: 0.01, a point)",
    )  # fmt: skip
    json_option(parser)


@command("export", "write a checkpoint for other tools", _export_arguments)
def export(args: argparse.Namespace) -> int:
    from studio.runs.export import Wishes, export_checkpoint
    from studio.runs.push import check_push, push
    from studio.terminal import say, show_forms

    if args.public and not args.push:
        raise UsageError("--public: it says how to push; name the repository with --push ORG/NAME.")
    if args.personal and args.push:
        raise UsageError("--personal: data of persons are not pushed; export them here, without --push.")
    if args.push:
        check_push(args.push)
    wishes = Wishes(args.personal, args.data, args.max_drop)
    report = export_checkpoint(args.checkpoint, args.format, Path(args.out), wishes=wishes)
    if args.push:
        report["url"] = push(Path(args.out), args.push, args.public)
    if args.json:
        print_json(report)
        return 0
    show_forms(report["forms"])
    say(f"Wrote {', '.join(report['files'])} to {report['folder']}. {report['note']}"
        + (f" Pushed to {report['url']}." if args.push else ""))  # fmt: skip
    return 0


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="checkpoints, runs and data versions (default: all that have ended)",
    )
    json_option(parser)


@command("push", "send checkpoints, finished runs and data versions to STUDIO_STORE", _push_arguments)
def push(args: argparse.Namespace) -> int:
    from studio.store import Store, sharing

    return _say_moved(sharing.push(Store(Home.find()), sharing.required_bucket(), args.names), "Sent", args.json)


@command(
    "pull",
    "bring a checkpoint, run or data version from STUDIO_STORE",
    lambda p: (p.add_argument("name"), json_option(p)),
)
def pull(args: argparse.Namespace) -> int:
    from studio.store import Store, sharing

    return _say_moved(sharing.pull(Store(Home.find()), sharing.required_bucket(), args.name), "Brought", args.json)


def _say_moved(moved: Any, did: str, as_json: bool) -> int:
    from studio.terminal import say

    print_json(asdict(moved)) if as_json else say(
        f"{did} {len(moved.checkpoints)} checkpoints, {len(moved.runs)} runs and {len(moved.versions)} data versions: "
        f"{moved.blobs} files, "
        f"{moved.bytes / 2**20:.1f} MB; the rest was there."
    )
    return 0

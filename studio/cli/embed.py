"""Features of a data set on disk, and the nearest of them."""

import argparse

from studio.cli.parser import command, json_option
from studio.core.stdout import print_json


def _embed_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="such as folder:photos or zip:photos.zip")
    parser.add_argument("--backbone", required=True, metavar="NAME", help="as `launch.py backbones` lists them")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="new, or begun by the same command")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="default: the backbone's own")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["fp32", "fp16", "bf16"], default="fp32")
    json_option(parser)


@command("embed", "write the features of a whole data set; goes on after a kill", _embed_arguments)
def embed(args: argparse.Namespace) -> int:
    from studio.runs.embed import embed as embed_data
    from studio.terminal import counting, say

    with counting("images", quiet=args.json) as on_progress:
        made = embed_data(
            args.data, args.backbone, args.out, processes=args.processes, image_size=args.image_size,
            device=args.device, precision=args.precision, on_progress=on_progress, on_note=say,
        )  # fmt: skip
    skipped = made.facts["skipped"]
    if args.json:
        facts = {"images": len(made), "features": len(made.features), "dim": made.facts["dim"], "skipped": len(skipped)}
        print_json({"folder": str(made.folder), **facts})
        return 0
    for name, reason in skipped[:10]:
        say(f"left out {name}: {reason}")
    say(f"{len(made):,} images, {len(made.features):,} different ones, {len(skipped)} left out: {made.folder}")
    return 0


def _nearest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="what `embed` wrote")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--count", type=int, default=10, metavar="K")
    parser.add_argument("--device", default="auto")
    json_option(parser)


@command("nearest", "the images of an embedding that are nearest to others", _nearest_arguments)
def nearest(args: argparse.Namespace) -> int:
    from studio.core.errors import UsageError
    from studio.runs.embed import nearest as nearest_images
    from studio.terminal import show_rows

    if args.count < 1:
        raise UsageError(f"--count: found {args.count}; expected 1 or more.")
    found = nearest_images(args.folder, args.images, args.count, device=args.device)
    rows = [
        {"asked": asked, "rank": rank, **row}
        for asked, matches in zip(args.images, found, strict=True)
        for rank, row in enumerate(matches, start=1)
    ]
    return show_rows(rows, ["asked", "rank", "image", "class", "distance"], args.json, "images")

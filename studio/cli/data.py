"""Data sets: what is wrong with one, and named versions of them."""

import argparse

from studio.cli.parser import action_arguments, command
from studio.core.home import Home
from studio.core.stdout import print_json


def _check(args: argparse.Namespace) -> int:
    from studio.data import check
    from studio.terminal import show_data_report

    return show_data_report(check(args.spec), args.json)


def _save(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from studio.data import save_version
    from studio.terminal import counting, say

    with counting("images", quiet=args.json) as on_progress:
        without = args.without.split(",") if args.without else []
        facts = save_version(args.name, args.spec, Home.find(), on_progress=on_progress, without=without)
    if args.json:
        print_json({**asdict(facts), "spec": facts.spec})
        return 0
    for problem, count in facts.left_out.items():
        say(f"Left out for {problem.replace('_', ' ')}: {count:,}")
    say(f"{facts.images:,} images, content {facts.short}. Train on version:{facts.version}")
    return 0


def _versions(args: argparse.Namespace) -> int:
    from studio.store.versions import versions
    from studio.terminal import show_rows

    rows = [
        {"version": facts.version, "images": facts.images, "classes": len(facts.classes),
         "mb": round(facts.bytes / 2**20, 1), "content": facts.short, "created": facts.created, "data": facts.data}
        for facts in versions(Home.find())
    ]  # fmt: skip
    columns = ["version", "images", "classes", "mb", "content", "created", "data"]
    return show_rows(rows, columns, args.json, "data versions")


def _compare(args: argparse.Namespace) -> int:
    from studio.store.version_changes import compare_versions
    from studio.terminal import say, show_rows

    changes = compare_versions(Home.find(), args.before, args.after).to_dict()
    if args.json:
        print_json(changes)
        return 0
    if changes["rows"]:
        show_rows(changes["rows"], ["image", "change", "before", "after"], False, "changes")
    say(changes["sentence"])
    return 0


def _delete(args: argparse.Namespace) -> int:
    from studio.store.versions import delete
    from studio.terminal import say

    delete(Home.find(), args.name)
    print_json({"deleted": args.name}) if args.json else say(f"Deleted {args.name}; gc frees what no other needs.")
    return 0


def _name_and_spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="of the version, such as birds-1; it never changes")
    _spec(parser)
    parser.add_argument(
        "--without",
        metavar="PROBLEMS",
        help="leave out images with these problems, by commas: all, or some of leaks, conflicts, duplicates, "
        "near_duplicates, tiny",
    )


def _spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", help="such as folder:photos or zip:photos.zip")


def _two(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", help="a version")
    parser.add_argument("after", help="another one")


ACTIONS = {
    "check": ("counts, broken files, duplicates, leaks", _check, _spec),
    "save": ("keep the images and their truth as they are now, under a name", _save, _name_and_spec),
    "versions": ("list the versions", _versions, lambda parser: None),
    "compare": ("what was added, removed, changed, relabelled between two versions", _compare, _two),
    "delete": ("forget a version", _delete, lambda parser: parser.add_argument("name", help="of the version")),
}


@command(
    "data", "check a dataset, or keep versions of it: check, save, versions, compare, delete", action_arguments(ACTIONS)
)
def data(args: argparse.Namespace) -> int:
    return args.action_function(args)

"""Labelling from a terminal or a script: begin a project, which image next, say what it shows, take it away."""

import argparse
from pathlib import Path
from typing import Any

from studio.cli.parser import action_arguments, command
from studio.core.home import Home
from studio.core.stdout import print_json


def _start(args: argparse.Namespace) -> int:
    from studio.label.desk import start

    desk = start(args.name, args.data, args.kind, [name for name in args.classes.split(",") if name.strip()])
    labels = desk.labels
    facts = {"project": args.name, "images": len(desk.images), "labelled": len(labels.truths), "data": desk.spec}
    return _say(args, facts, f"{len(desk.images)} images, {len(labels.truths)} labelled. Train on labels:{args.name}")


def _list(args: argparse.Namespace) -> int:
    from studio.store.labelling import Project, projects
    from studio.terminal import show_rows

    home = Home.find()
    read = {name: Project(home, name).read() for name in projects(home)}
    rows = [
        {"project": name, "kind": labels.kind, "labelled": len(labels.truths), "classes": labels.classes,
         "images": labels.spec}
        for name, labels in read.items()
    ]  # fmt: skip
    return show_rows(rows, ["project", "kind", "labelled", "images"], args.json, "labelling projects")


def _rules(args: argparse.Namespace) -> int:
    from studio.core import registry
    from studio.terminal import show_rows

    rows = [{"rule": rule.name, "title": rule.title, "paper": rule.paper} for rule in registry.rules()]
    return show_rows(rows, ["rule", "paper"], args.json, "rules")


def _next(args: argparse.Namespace) -> int:
    from studio.label.desk import Desk
    from studio.runs.predict import load_checkpoint
    from studio.terminal import say, show_rows

    desk = Desk(args.name)
    model = load_checkpoint(args.checkpoint, desk.home) if args.checkpoint else None
    choice = desk.next(args.rule, args.count)
    proposals = [desk.propose(image, model=model) for image in choice.images]
    rows = [
        {
            "image": image,
            "proposal": proposal.truth if proposal else None,
            "score": proposal.score if proposal else None,
        }
        for image, proposal in zip(choice.images, proposals, strict=True)
    ]
    if choice.rule != args.rule:
        say(f"{args.rule} can't choose yet: images of two classes must be labelled first. Chosen by {choice.rule}.")
    return show_rows(rows, ["image", "proposal", "score"], args.json, "images that wait")


def _mark(args: argparse.Namespace) -> int:
    from studio.label.desk import Desk

    desk = Desk(args.name)
    desk.mark(args.image, {"label": args.label})
    return _say(args, {"project": args.name, "labelled": len(desk.labels.truths)}, f"{args.image}: {args.label}")


def _undo(args: argparse.Namespace) -> int:
    from studio.store.labelling import Project

    act = Project(Home.find(), args.name).undo()
    sentence = f"Taken back: {act.get('image', 'a class')}" if act else "Nothing to undo."
    return _say(args, {"project": args.name, "image": (act or {}).get("image")}, sentence)


def _wrong(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from studio.label.desk import Desk
    from studio.terminal import show_rows

    rows = [asdict(doubt) for doubt in Desk(args.name).doubts(args.count)]
    return show_rows(rows, ["image", "label", "likelier", "score", "likelier_score"], args.json, "doubtful labels")


def _export(args: argparse.Namespace) -> int:
    from studio.label.desk import Desk

    files = Desk(args.name).export(args.format, Path(args.out))
    return _say(args, {"folder": args.out, "files": files}, f"{len(files)} files in {args.out}")


def _delete(args: argparse.Namespace) -> int:
    from studio.store.labelling import Project

    project = Project(Home.find(), args.name)
    project.read()
    project.delete()
    return _say(args, {"deleted": args.name}, f"Deleted {args.name}. Its images are where they were.")


def _say(args: argparse.Namespace, facts: dict[str, Any], sentence: str) -> int:
    from studio.terminal import say

    print_json(facts) if args.json else say(sentence)
    return 0


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="of the labelling project")


def _start_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("data", help="whose images are labelled, such as images:photos or images:photos.zip")
    parser.add_argument("--kind", default="classes", choices=["classes", "boxes", "masks"], help="what is said of each")
    parser.add_argument("--classes", default="", help="their names, by commas; more can come later")


def _next_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--rule", default="typiclust", help="which image is next (launch.py label rules)")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--checkpoint", help="that proposes; without one the labels so far do")


def _mark_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("image", help="its name, as `label next` gives it")
    parser.add_argument("label", help="the class that it shows")


def _wrong_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--count", type=int, default=50)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--format", required=True, help="folders; coco, voc, yolo for boxes; masks, coco for masks")
    parser.add_argument("--out", required=True, help="the folder to write; nothing in it is written over")


ACTIONS = {
    "start": ("begin a project over images without labels", _start, _start_arguments),
    "list": ("list the projects", _list, lambda parser: None),
    "rules": ("list the rules that choose which image is next", _rules, lambda parser: None),
    "next": ("which images to label next, and what they may show", _next, _next_arguments),
    "mark": ("say which class an image shows", _mark, _mark_arguments),
    "undo": ("take the latest act back", _undo, _name),
    "wrong": ("list labels that are likely wrong", _wrong, _wrong_arguments),
    "export": ("write what is labelled so far for other tools", _export, _export_arguments),
    "delete": ("delete a project, but not its images", _delete, _name),
}


@command("label", "make data of photos without labels: begin, next, mark, export", action_arguments(ACTIONS))
def label(args: argparse.Namespace) -> int:
    return args.action_function(args)

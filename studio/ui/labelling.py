"""What the Label page shows and does, without Gradio: one image at a time, and the acts that the browser sends."""

import base64
import io
import json
import re
import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.data.files.images import BadImage, read_image
from studio.data.files.limits import limits_of
from studio.data.masks.outlines import filled_by
from studio.label.desk import Desk
from studio.label.proposals import Proposal
from studio.label.strokes import painted
from studio.store.labelling import Labels, Project, Truth
from studio.ui.catalogue import say

SIDE = 1280  # pixels of the longer side of an image as the browser gets it
BUDGET = 48  # images that are embedded when the next few are chosen, at most
DOUBT_BUDGET = 600  # images that are embedded when likely wrong labels are asked for, at most
MOST_BROKEN = 20  # images in turn that can't be read, before a person is told
KEPT = 8  # desks
WORDS = (
    "undo", "skip", "save", "accept", "brush", "polygon", "erase", "size", "remove", "new_class", "add", "hint.classes",
    "hint.boxes", "hint.masks", "stage",
)  # fmt: skip


class Desks:
    """The desks of all visitors that were used last, so that images are listed and embedded once."""

    def __init__(self, load: Callable[..., Any] = registry.backbone) -> None:
        """`load` gives a backbone by its name, such as one that is kept warm."""
        self._load = load
        self._desks: OrderedDict[tuple[str | None, str], Desk] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, home: Home, name: str) -> Desk:
        """The desk of a project of whom the home is opened for. Raises UsageError where there is none."""
        key, spec = (home.visitor, name), Project(home, name).read().spec
        with self._lock:
            desk = self._desks.get(key)
        if desk is None or desk.images.spec != spec:
            desk = Desk(name, home, load=self._load)
        with self._lock:
            self._desks[key] = desk
            self._desks.move_to_end(key)
            while len(self._desks) > KEPT:
                self._desks.popitem(last=False)
        return desk


def read_act(sent: str) -> dict[str, Any]:
    """An act as the browser sends it. Raises UsageError where it is none."""
    try:
        act = json.loads(sent or "{}")
        if isinstance(act["act"], str) and isinstance(act["project"], str):
            return act
    except (ValueError, KeyError, TypeError):
        pass
    raise UsageError("Nothing to label is shown yet; choose a project, or reload the page.")


@dataclass(frozen=True)
class Step:
    """The image to be shown (None: the next one), and what was drawn on it and taken back."""

    image: str | None = None
    draft: Truth | None = None


NEXT = Step()


def perform(desk: Desk, act: dict[str, Any]) -> Step:
    """Does what was said, and gives what is to be shown then. Raises UsageError."""
    image, kind = act.get("image"), act["act"]
    if kind == "undo":
        undone = desk.project.undo() or {}
        return Step(undone.get("image", image), undone.get("truth"))
    if kind == "class":
        desk.project.add_class(str(act.get("name", "")))
        return Step(image)
    if kind == "skip":
        desk.skip(str(image))
    elif kind == "classes":
        desk.mark(str(image), {"label": act.get("label")})
    elif kind == "boxes":
        desk.mark(str(image), {"size": act.get("size"), "boxes": act.get("boxes")})
    elif kind == "masks":
        size = desk.size(str(image))
        desk.mark(
            str(image), {"size": list(size), "shapes": painted(size, act.get("base", []), act.get("strokes", []))}
        )
    elif kind != "show":
        raise UsageError(f"labels: there is nothing called {kind[:40]!r} to do.")
    return Step(image if kind == "show" else None)


def shown(
    desk: Desk, language: str, rule: str, step: Step = NEXT, past: str | None = None, model: Any = None
) -> dict[str, Any]:  # fmt: skip
    """What the browser draws: the image of a step with what is said of it, or proposed, and how far it is.

    `past` is the image that was shown before, `model` the checkpoint that proposes, where one does.
    An image that can't be read is skipped, and the next one shown.
    """
    image = step.image
    for _ in range(MOST_BROKEN):
        name = image or desk.next_one(rule, BUDGET, past)
        try:
            pixels = _pixels(desk, name) if name else {}
        except BadImage:
            desk.skip(str(name))
            image = None
            continue
        labels = desk.labels
        truth = labels.truths.get(name or "")
        proposal = None
        if name and truth is None:
            draft = Proposal(step.draft, 1.0) if step.draft else None
            proposal = draft or desk.propose(name, model=model, budget=BUDGET)
        return {
            "project": desk.project.name, "kind": labels.kind, "classes": labels.classes, "colours": _colours(),
            "image": name, **pixels, "truth": truth, "proposal": proposal.truth if proposal else None,
            "overlay": _overlay(labels.classes, truth or (proposal.truth if proposal else {})),
            "said": _said(language, name, truth, proposal), "share": len(labels.truths) / max(1, len(desk.images)),
            "progress": _progress(desk, labels, language) + ("" if image else _chosen_by(desk, language)),
            "words": {word: say(f"labelling.{word}", language) for word in WORDS},
            "stamp": secrets.token_hex(4),
        }  # fmt: skip
    raise UsageError(f"{MOST_BROKEN} images in turn can't be read. Look at the data under Data.")


def _progress(desk: Desk, labels: Labels, language: str) -> str:
    counts = {"labelled": len(labels.truths), "total": len(desk.images), "skipped": len(labels.skipped)}
    return say("labelling.progress", language, **counts)


def _chosen_by(desk: Desk, language: str) -> str:
    """By which rule the last image was chosen."""
    if not desk.chosen_by:
        return ""
    return " · " + say("labelling.chosen_by", language, rule=say(f"labelling.rule.{desk.chosen_by}", language))


def _pixels(desk: Desk, name: str) -> dict[str, Any]:
    """The image as a data URL, no larger than SIDE, and its true width and height. Raises BadImage."""
    image = read_image(desk.item(name).source, name, limits=limits_of(desk.home))
    size = image.size
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return {"size": list(size), "src": _data_url(image, "JPEG", quality=88)}


def _data_url(image: Image.Image, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _overlay(classes: list[str], truth: Truth) -> str | None:
    """The mask that is shown at first, as a PNG with one colour a class; None where there is none."""
    if not truth.get("shapes"):
        return None
    width, height = truth["size"]
    pixels, colours = np.zeros((height, width, 4), np.uint8), _colours()
    for name, shape in truth["shapes"]:
        inside = filled_by(shape, (width, height))
        number = classes.index(name) if name in classes else len(classes)
        if inside is not None:
            pixels[inside] = (*_rgb(colours[number % len(colours)]), 255)
    overlay = Image.fromarray(pixels)
    overlay.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    return _data_url(overlay, "PNG")


def _colours() -> list[str]:
    """Of classes in turn; black is left out, which hides on dark photos."""
    from studio.figures.style import COLOURS  # it loads matplotlib

    return COLOURS[:-1]


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.lstrip("#")))


def _said(language: str, name: str | None, truth: Any, proposal: Proposal | None) -> str:
    """A line above the image: what it is called, what is known or proposed of it."""
    if name is None:
        return say("labelling.done", language)
    if truth is not None:
        label = truth.get("label") or len(truth.get("boxes", truth.get("shapes", ())))
        return say("labelling.known", language, image=name, label=label)
    if proposal is None:
        return name
    if "label" in proposal.truth:
        return say(
            "labelling.proposed", language, image=name, label=proposal.truth["label"], score=round(100 * proposal.score)
        )
    things = len(proposal.truth.get("boxes", proposal.truth.get("shapes", ())))
    return say("labelling.proposed_things", language, image=name, count=things)


def report_of(desk: Desk) -> dict[str, Any]:
    """As much of a report card as the form asks for: the truth, and how many images or things each class has."""
    dataset = desk.dataset()
    counts = dict.fromkeys(dataset.classes, 0)
    for item in dataset.items:
        for label in item.boxes.labels.tolist() if item.boxes is not None else [item.label]:
            if label >= 0:
                counts[dataset.classes[label]] += 1
    return {"truth": dataset.truth, "classes": counts}


def free_name(wanted: str, taken: list[str]) -> str:
    """A project's name made of a file's: what a name may not have becomes -, and a number where it is taken."""
    plain = re.sub(r"[^\w.-]+", "-", wanted).strip("-.")[:50] or "photos"
    number, free = 1, plain
    while free in taken:
        number += 1
        free = f"{plain}-{number}"
    return free


def zip_of(home: Home, desk: Desk, kind: str) -> Path:
    """What is labelled so far, in a format, as one zip below the home's exports."""
    exports = home.exports
    exports.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="labels-", dir=exports))
    desk.export(kind, folder / "data")
    return Path(shutil.make_archive(str(folder / f"{desk.project.name}-{kind}"), "zip", folder / "data"))

"""Labelling projects: what people said of images, one small file a project, one line an act.

`NAME.jsonl` in the home's `labels/` is only ever added to. Its first line says of which data the images are and what is
said of each: a class, boxes or masks. Each further line is an act: the truth of an image, that it is skipped, a class,
a step back. What a project says is what its lines say in turn, so its first N lines are what it said then: a version
needs no copy. A line is written whole and synced before it counts; one that a kill cut short is dropped.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from filelock import FileLock

from studio.core.errors import StoreError, UsageError, nearest
from studio.core.home import Home
from studio.store.files import as_json_data, clear_errors, write_atomic

KINDS = ("classes", "boxes", "masks")
NAME = re.compile(r"\w[\w.-]{0,63}")
MOST_CLASSES = 254  # beside background, as many as a mask holds
CLASS_LENGTH = 80
LINE_BYTES = 2 * 2**20  # of one act: a mask of a large image takes some 20 KB
FILE_BYTES = 256 * 2**20
MOST_PROJECTS = 200  # of one who asks
WAIT_S = 10.0  # for another process that writes

Truth = dict[str, Any]


@dataclass
class Labels:
    """What a project says after `acts` lines.

    `truths` by the image's name, in the order in which they were given: {"label": name}, or of an upright image of
    `size` [width, height] its {"boxes": [[name, x1, y1, x2, y2] in pixels, ...]} or {"shapes": [[name, segmentation as
    COCO has it], ...]}. `last` is the image of the latest act.
    """

    spec: str
    kind: str
    classes: list[str]
    truths: dict[str, Truth] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    acts: int = 1
    last: str | None = None


class Project:
    """A labelling project of whom the home is opened for. Several processes may write at once."""

    def __init__(self, home: Home, name: str) -> None:
        """Raises UsageError for a name that is none."""
        if not NAME.fullmatch(name):
            raise UsageError(
                f"labels: {name[:80]!r} can't be the name of a labelling project. Expected 1 to 64 letters, digits, _, "
                "- and dots, such as my-photos."
            )
        self.name, self.path = name, home.labels / f"{name}.jsonl"
        self._home = home

    @classmethod
    def create(
        cls, home: Home, name: str, spec: str, kind: str, classes: list[str], known: dict[str, Truth]
    ) -> "Project":
        """A new project over the images of a data spec; `known` truths are taken over.

        Raises UsageError where there is one of that name, or a class can't be called so.
        """
        project = cls(home, name)
        if kind not in KINDS:
            raise UsageError(f"kind: found {kind!r}; expected one of {', '.join(KINDS)}.")
        if len(projects(home)) >= MOST_PROJECTS:
            raise UsageError(f"labels: there are {MOST_PROJECTS} projects already. Delete one first.")
        head = {"spec": spec, "kind": kind, "classes": _class_names(classes), "known": known, "created": time.time()}
        with project._locked():
            if project.path.exists():
                raise UsageError(f"labels: there is a project {name!r} already. Choose another name.")
            write_atomic(project.path, _line(head, FILE_BYTES))
        return project

    def read(self, at: int | None = None) -> Labels:
        """What it says, or said after its first `at` lines. Raises UsageError where it is not there or not so long."""
        lines = self._lines()
        if at is not None and not 1 <= at <= len(lines):
            raise UsageError(f"labels:{self.name}?at={at}: the project has {len(lines)} acts.")
        return _replayed(lines if at is None else lines[:at], self.name)

    def mark(self, image: str, truth: Truth) -> None:
        """Says the truth of an image, in place of what was said before; classes that are new are added."""
        self._add({"image": image, "truth": truth})

    def skip(self, image: str) -> None:
        """Says that an image is to be left alone; what was said of it no longer holds."""
        self._add({"image": image, "skip": True})

    def add_class(self, name: str) -> None:
        """Adds a class, where there is none of that name."""
        (name,) = _class_names([name])
        if name not in self.read().classes:
            self._add({"class": name})

    def rename_class(self, before: str, after: str) -> None:
        """Calls a class otherwise, wherever it was said. Raises UsageError for one that is not there."""
        (after,), classes = _class_names([after]), self.read().classes
        if before not in classes:
            raise UsageError(f"class: there is no class {before!r}.{nearest(before, classes)}")
        self._add({"rename": [before, after]})

    def undo(self) -> dict[str, Any] | None:
        """Takes the latest act back that still holds, and gives it; None where there is none left."""
        with self._locked():
            acts = _holding(self._lines()[1:])
            if not acts:
                return None
            self._append({"undo": True})
            return acts[-1]

    def delete(self) -> None:
        with self._locked():
            self.path.unlink(missing_ok=True)

    def _add(self, act: dict[str, Any]) -> None:
        with self._locked():
            _check_classes(self.read(), act)
            self._append(act)

    def _append(self, act: dict[str, Any]) -> None:
        line = _line(act, LINE_BYTES)
        with clear_errors(self.path.parent), open(self.path, "r+b") as file:
            end = _end_of_lines(file)
            if end + len(line) > FILE_BYTES:
                raise StoreError(f"The labelling project {self.name} has reached {FILE_BYTES >> 20} MB. Begin another.")
            file.truncate(end)  # of an act that a kill cut short
            file.seek(end)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            known = projects(self._home)
            advice = nearest(self.name, known) or " `launch.py label start NAME DATA` begins one."
            raise UsageError(f"labels: there is no labelling project {self.name!r}.{advice}") from None
        try:
            return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
        except ValueError as error:
            raise StoreError(f"{self.path} is damaged ({error}).") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with clear_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._home.locks.mkdir(parents=True, exist_ok=True)
        owner = self._home.visitor or "own"
        with FileLock(self._home.locks / f"labels-{owner}-{self.name}.lock", timeout=WAIT_S):
            yield


def projects(home: Home) -> list[str]:
    """The names of the projects of whom the home is opened for, that worked on last first."""
    paths = home.labels.glob("*.jsonl") if home.labels.is_dir() else []
    dated = sorted(((path.stat().st_mtime_ns, path.stem) for path in paths), reverse=True)
    return [name for _, name in dated]


def _replayed(lines: list[dict[str, Any]], name: str) -> Labels:
    if not lines or "spec" not in lines[0]:
        raise StoreError(f"The labelling project {name} is damaged: its first line does not say what it is of.")
    head = lines[0]
    labels = Labels(head["spec"], head["kind"], list(head["classes"]), dict(head.get("known", {})), acts=len(lines))
    skipped: dict[str, None] = {}
    for act in _holding(lines[1:]):
        if "image" in act:
            image = labels.last = act["image"]
            labels.truths.pop(image, None)
            skipped.pop(image, None)
            if "truth" in act:
                labels.truths[image] = act["truth"]
            else:
                skipped[image] = None
        elif "rename" in act:
            _rename(labels, *act["rename"])
        labels.classes += [word for word in _classes_of(act) if word not in labels.classes]
    labels.skipped = list(skipped)
    return labels


def _holding(acts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The acts that were not taken back."""
    held = list[dict[str, Any]]()
    for act in acts:
        if "undo" not in act:
            held.append(act)
        elif held:
            held.pop()
    return held


def _classes_of(act: dict[str, Any]) -> list[str]:
    """The classes that an act names."""
    truth = act.get("truth", {})
    objects = [*truth.get("boxes", ()), *truth.get("shapes", ())]
    label = [truth["label"]] if "label" in truth else []
    return [*([act["class"]] if "class" in act else []), *label, *(thing[0] for thing in objects)]


def _rename(labels: Labels, before: str, after: str) -> None:
    def new(name: str) -> str:
        return after if name == before else name

    labels.classes = list(dict.fromkeys(map(new, labels.classes)))
    for image, truth in labels.truths.items():
        changed = dict(truth)
        if "label" in truth:
            changed["label"] = new(truth["label"])
        for key in ("boxes", "shapes"):
            if key in truth:
                changed[key] = [[new(thing[0]), *thing[1:]] for thing in truth[key]]
        labels.truths[image] = changed


def _check_classes(labels: Labels, act: dict[str, Any]) -> None:
    classes = [*labels.classes, *_class_names(_classes_of(act))]
    if len(set(classes)) > MOST_CLASSES:
        raise UsageError(f"class: a labelling project has at most {MOST_CLASSES} classes.")


def _class_names(names: list[str]) -> list[str]:
    """Names of classes as they are kept, each once. Raises UsageError for one that is empty or too long."""
    plain = [normalize("NFC", str(name)).strip() for name in names]
    for name in plain:
        if not 1 <= len(name) <= CLASS_LENGTH or not name.isprintable():
            raise UsageError(
                f"class: {name[:80]!r} can't be the name of a class; expected 1 to {CLASS_LENGTH} letters."
            )
    return list(dict.fromkeys(plain))


def _line(value: dict[str, Any], most: int) -> bytes:
    line = json.dumps(as_json_data(value), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
    if len(line) > most:
        raise UsageError(f"labels: this takes {len(line) / 2**20:.1f} MB, and {most / 2**20:.0f} MB are allowed.")
    return line


def _end_of_lines(file: Any) -> int:
    """Where the last whole line of an open file ends."""
    file.seek(0, os.SEEK_END)
    end = file.tell()
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0

"""Labelling over HTTP and MCP: begin a project, ask which image is next and what it may show, say what it shows."""

from collections.abc import Callable
from typing import Any

from studio.data.specs import require_allowed
from studio.label.desk import RULE, start
from studio.ui.actions import Actions

MOST_NEXT = 100  # images that are asked for at once
BUDGET = 64  # images that are embedded for it, at most


def label_functions(actions: Actions) -> list[Callable[..., Any]]:
    """The functions, for whoever's request is being answered."""

    def label_start(project: str, data: str, kind: str, classes: list[str]) -> dict[str, Any]:
        """Begins a labelling project over the images of a data spec, with whatever labels of this kind they bring.

        Args:
            project: a name for it
            data: such as images:FOLDER or images:FILE.zip; a visitor's own uploads or what is built in
            kind: classes, boxes or masks
            classes: their names; more can come later
        """
        require_allowed(data, actions.home.rights)
        desk = start(project, data, kind, classes, actions.home)
        return {"project": project, "images": len(desk.images), **_state(desk)}

    def label_next(project: str, rule: str = RULE, count: int = 10) -> dict[str, Any]:
        """Which images to label next, and what each may show by the labels so far.

        Args:
            project: its name
            rule: random, typiclust, k-center, margin, entropy, disagreement or badge
            count: how many
        """
        desk = actions.desks.get(actions.home, project)
        choice = desk.next(rule, max(1, min(int(count), MOST_NEXT)), BUDGET)
        proposals = [(image, desk.propose(image, budget=BUDGET)) for image in choice.images]
        rows = [
            {"image": image, "proposal": found.truth if found else None, "score": found.score if found else None}
            for image, found in proposals
        ]
        return {"rule": choice.rule, "images": rows}

    def label_image(project: str, image: str, truth: dict[str, Any]) -> dict[str, Any]:
        """Says what an image shows, in place of what was said before.

        Args:
            project: its name
            image: the image's name, as label_next gives it
            truth: {"label": class}, or {"size": [width, height], "boxes": [[class, x1, y1, x2, y2], ...]} in pixels, or
                "shapes": [[class, polygons or RLE as in COCO], ...]
        """
        desk = actions.desks.get(actions.home, project)
        desk.mark(image, truth)
        return _state(desk)

    return [label_start, label_next, label_image]


def _state(desk: Any) -> dict[str, Any]:
    return {"labelled": len(desk.labels.truths), "data": desk.spec}

"""How a kind of method is run: the bridge between the runner and the wings.

A `Procedure` serves all methods of one (task, face): it takes a `Job` (everything a run may touch,
passed explicitly), does the work and returns an `Outcome`; and it brings a stored checkpoint back to
life as a `Predictor`. Wings register their procedures, so the runner never imports a wing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from studio.core.answers import Answer, RankedClasses
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.core.registry import Method
from studio.core.rights import Rights

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import nn


#: of a run that makes a table, what is finished of it: lines of this file, and folders of the resume state so named
CELLS, DONE = "cells.jsonl", " done"


@dataclass
class Job:
    """One run at work."""

    recipe: Recipe
    method: Method  # made with its typed params
    home: Home
    store: Any  # studio.store.Store
    events: EventWriter
    folder: Path  # the run's folder
    run_id: str
    device: str  # leased, such as "cpu" or "cuda:1"
    precision: str  # fp32 | fp16 | bf16
    should_stop: Callable[[], bool] = lambda: False
    resume: bool = False

    @property
    def rights(self) -> Rights:
        """What may be opened for whom the run was filed."""
        return self.home.rights

    def figure(self, name: str, figure: Any) -> Path:
        """Saves a matplotlib figure as `figures/NAME.png` of the run and says so in the events."""
        path = self.folder / "figures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        save_figure(figure, path)
        self.events.emit("figure", name=name, path=f"figures/{name}.png")
        return path

    def film(self, name: str, frames: "list[Image.Image]", seconds: float = 0.8) -> Path:
        """Saves images of one size as a moving PNG, `seconds` each, and says so as of a figure."""
        path = self.folder / "figures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        first, *others = frames
        first.save(path, save_all=True, append_images=others, duration=int(1000 * seconds), loop=0)
        self.events.emit("figure", name=name, path=f"figures/{name}.png")
        return path

    def table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Puts a table into the events; the page and `show` print it."""
        self.events.emit("table", name=name, columns=columns, rows=rows)


def save_figure(figure: Any, path: Path) -> None:
    """Draws a matplotlib figure into a PNG."""
    figure.savefig(path, dpi=110, bbox_inches="tight")


@dataclass
class Outcome:
    """What a run ends with. Metric names are those of the contract."""

    metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None


class Predictor:
    """A checkpoint brought to life. `classes[i]` names column i of the scores."""

    classes: list[str]
    #: pixels of the short side that images are made as small as, as `read_image` takes it: large photos need not be
    #: decoded whole, and are what training saw. None where the answer is about the image's own pixels
    min_side: int | None = None

    def scores(self, images: "list[Image.Image]") -> "np.ndarray":
        """Probabilities [N, C] for RGB images; rows sum to 1."""
        raise NotImplementedError

    def answers(self, images: "list[Image.Image]") -> list[Answer]:
        """What is said of each RGB image."""
        return [RankedClasses(self.classes, scores) for scores in self.scores(images)]

    def where_it_looks(self, image: "Image.Image") -> "tuple[str, Image.Image, np.ndarray] | None":
        """How it is known, what it sees of an RGB image, and heat [h, w] in 0..1 over that; None if it can't tell."""
        return None

    @property
    def note(self) -> str:
        """What is to be said behind the predictions; empty where nothing is."""
        return ""

    def watching(self) -> "Predictor":
        """What answers for the frames of one film, which it is shown in order: itself, where they are alike to it."""
        return self

    def module(self) -> "nn.Module | None":
        """One network from normalised images [B, 3, H, W] to logits [B, C], for export; None if there is none."""
        return None


class Procedure:
    """Runs and restores the methods of one task and face."""

    task: ClassVar[str]
    face: ClassVar[type[Method]]
    #: several processes may share the work (train.processes)
    shares: ClassVar[bool] = False

    def memory_gb(self, recipe: Recipe, home: Home) -> float:
        """Device memory to ask the lease for; `home` says whose folders and checkpoints may be looked into."""
        return 2.0

    def run(self, job: Job) -> Outcome:
        raise NotImplementedError

    def restore(self, checkpoint: Any, device: str, home: Home, store: Any) -> Predictor:
        """`checkpoint` is a studio.store checkpoint with `.manifest` and `.tensors()`."""
        raise NotImplementedError

"""A task plugs in: one folder below a wing, whose `task.py` says what the task is.

    @task
    class Count(Task):
        name = "count"
        Data, Eval = CountData, CountEval

Its recipe keys are its `Data`, `Train` and `Eval` sections, over those of `studio.core.sections`; preset, `--set`,
page, docs and checks follow from them, and a key that a task has not is refused when a recipe is read. `task.py`
imports neither torch nor its procedure: recipes are read before anything runs. Methods say `task = "count"`, and the
folder's procedure registers itself (`studio.core.registry.procedure`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from studio.core.sections import DataSection, EvalSection, TrainSection

if TYPE_CHECKING:
    from studio.core.recipe import Recipe


class Task:
    """What a task says of itself."""

    name: ClassVar[str]
    title: ClassVar[str] = ""
    Data: ClassVar[type[DataSection]] = DataSection
    Train: ClassVar[type[TrainSection]] = TrainSection
    Eval: ClassVar[type[EvalSection]] = EvalSection
    #: what its items carry beside the image: "labels" or "boxes"; a task may name another
    truth: ClassVar[str] = "labels"
    #: other truths that will do: two looks need no pairs, individuals may be plain classes
    takes: ClassVar[tuple[str, ...]] = ()
    #: how model hubs call it
    hub_tag: ClassVar[str | None] = None
    #: the preset that a person with data of this truth begins with
    starter: ClassVar[str | None] = None
    #: minutes of training on a person's own data, instead of the epochs that a preset states for its built-in set
    own_minutes: ClassVar[float | None] = None
    #: metrics that the page shows in large type, with what each is; the first is the score that tells runs apart
    headlines: ClassVar[dict[str, str]] = {}
    #: what its checkpoints answer is an image, so that they can be a step of data: `folder:x | translate:CHECKPOINT`
    makes_images: ClassVar[bool] = False
    #: whether a checkpoint of it answers only where it has classes: those of a gallery come and go, a look has none
    needs_classes: ClassVar[bool] = True
    #: how the names of tensors and files of its checkpoints begin that are data of persons: an export leaves them out,
    #: and the names of classes with them, unless it is asked for them
    personal: ClassVar[tuple[str, ...]] = ()
    #: what it may not be used for, where that is to be said; the page shows it wherever it shows the task
    care: ClassVar[str] = ""
    #: keys of `eval` that can be changed when a checkpoint predicts
    looks: ClassVar[tuple[str, ...]] = ()

    def check(self, recipe: "Recipe") -> None:
        """Raises UsageError for keys that do not go together; called when a recipe is read."""

    def exporter(self, kind: str) -> "Callable[..., Any] | None":
        """`write(model, images, folder) -> (note, about)` for an export format that the task writes in its own way.

        `model` is a loaded checkpoint (studio.runs.predict.Model), images normalised input [N, 3, H, W]; `about` says
        what an ONNX file puts out, or in Markdown how a folder for Hugging Face is used.
        """
        return None

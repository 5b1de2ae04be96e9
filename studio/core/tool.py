"""What can be done with a checkpoint beyond predicting: a tool has typed inputs, a function and typed outputs.

The page, `launch.py tool NAME CHECKPOINT ...` and the API make their controls from `Inputs`; nobody writes them twice.
A tool is one class in one file of a task's folder:

    @registry.tool
    class WatchFilm(Tool):
        name, title, about = "watch-film", "Watch a film", "Finds things in a film and draws them into it."

        class Inputs(ToolInputs):
            film: Film = Field(description="The film")
            every: int = Field(5, ge=1, description="Look at every so many frames")

        def fits(self, manifest): ...
        def run(self, checkpoint, inputs, bench): ...
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Control:
    """What an input is, where its type does not say it: an image (a path or PIL's), a film, images by a data spec,
    points in the image, a checkpoint, a class, several."""

    kind: str


Photo = Annotated[Any, Control("image")]
OtherImage = Annotated[Any, Control("other-image")]  # beside the one that the tool is used on; may be left out
Film = Annotated[Path, Control("film")]
OtherCheckpoint = Annotated[str, Control("checkpoint")]
Images = Annotated[str, Control("images")]  # a data spec; on the page a zip too
Points = Annotated[list[float], Control("points")]  # x, y, x, y, ... in pixels of the image
ClassName = Annotated[str, Control("class")]  # one of the checkpoint's, or a new one
ClassNames = Annotated[list[str], Control("classes")]  # some of the checkpoint's


class ToolInputs(BaseModel):
    """A tool's inputs: one field each, with a range and a few words of help."""

    model_config = ConfigDict(extra="forbid")


@dataclass
class ToolResult:
    """What a tool gives back; each part is shown where it is there."""

    facts: dict[str, Any] = field(default_factory=dict)  # plain data
    remark: tuple[str, dict[str, Any]] | None = None  # a word of the page's catalogue, and what is filled into it
    rows: list[dict[str, Any]] = field(default_factory=list)  # a table
    image: "Image.Image | None" = None
    images: list[tuple["Image.Image", str]] = field(default_factory=list)  # to click through, with captions
    write_film: Callable[[Path], Any] | None = None  # called once, with the path of the MP4 to write
    checkpoint: str = ""  # the one that it made, with which the page goes on


@dataclass(frozen=True)
class Bench:
    """What a tool may use besides its inputs."""

    model: Callable[..., Any]  # model(checkpoint, look=None) -> studio.runs.predict.Model
    teach: Callable[..., Any]  # teach(checkpoint, images by class) -> the new checkpoint
    home: Any = None  # studio.core.home.Home, opened for the one who asks: what data and checkpoints may be opened


class Tool:
    """Something that can be done with a checkpoint."""

    name: ClassVar[str]  # kebab-case
    title: ClassVar[str]  # a few words
    about: ClassVar[str]  # one sentence
    Inputs: ClassVar[type[ToolInputs]] = ToolInputs

    def fits(self, manifest: Any) -> bool:
        """Whether it can be used on a checkpoint with this manifest."""
        raise NotImplementedError

    def fits_beside(self, manifest: Any) -> bool:
        """Whether a checkpoint with this manifest may be its other one, where it takes two."""
        return self.fits(manifest)

    def run(self, checkpoint: str, inputs: Any, bench: Bench) -> ToolResult:
        """Does it with the checkpoint of this id; `inputs` is an `Inputs`. Raises StudioError in a sentence."""
        raise NotImplementedError


def kind_of(info: Any) -> str | None:
    """What a field of `Inputs` is, such as `image`, `film` or `points`; None where its type says it all."""
    return next((item.kind for item in info.metadata if isinstance(item, Control)), None)

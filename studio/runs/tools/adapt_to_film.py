"""Adapt to a film: a classifier that adapts to what it sees while it answers."""

from typing import Any, Literal

from pydantic import Field

from studio.core import registry
from studio.core.faces import Learner
from studio.core.tool import Film, ToolInputs
from studio.runs.tools.watch_film import WatchFilm


@registry.tool
class AdaptToFilm(WatchFilm):
    name, title = "adapt-to-film", "Adapt to a film"
    about = (
        "Watches a film and adapts to its look, eight frames at a time; back to the start where few classes are left."
    )

    class Inputs(ToolInputs):
        film: Film = Field(description="Film")
        every: int = Field(5, ge=1, description="Look at every so many frames")
        side_by_side: bool = Field(False, description="Each frame beside what it was before")
        by: Literal["tent", "bn-adapt", "eata"] = Field("tent", description="How it adapts")

    def fits(self, manifest: Any) -> bool:
        """One that was trained whole and names a class for each image."""
        cls = registry.get(manifest.method)
        names = registry.task_named(manifest.task).truth == "labels"
        return bool(manifest.classes) and names and issubclass(cls, Learner) and cls.whole

    def look(self, inputs: Any) -> dict[str, Any] | None:
        return {"adapt": inputs.by}

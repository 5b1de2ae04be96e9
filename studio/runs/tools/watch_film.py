"""Watch a film: an answer for its frames, and the film again with the answers drawn."""

from pathlib import Path
from typing import Any

from pydantic import Field

from studio.core import registry
from studio.core.tool import Bench, Film, Tool, ToolInputs, ToolResult
from studio.runs.video import predict_video


@registry.tool
class WatchFilm(Tool):
    name, title = "watch-film", "Watch a film"
    about = "Looks at the frames of a film and writes it again with what was found drawn into it."

    class Inputs(ToolInputs):
        film: Film = Field(description="Film")
        every: int = Field(5, ge=1, description="Look at every so many frames")
        side_by_side: bool = Field(False, description="Each frame beside what it was before")

    def fits(self, manifest: Any) -> bool:
        return bool(manifest.classes) or registry.task_named(manifest.task).truth == "pairs"

    def look(self, inputs: Any) -> dict[str, Any] | None:
        """How the checkpoint looks, where it is not as it was judged."""
        return None

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        result, model = ToolResult(), bench.model(checkpoint, self.look(inputs))

        def write(path: Path) -> None:
            seen = predict_video(model, inputs.film, path, inputs.every, side_by_side=inputs.side_by_side)
            records = [
                {"frame": frame.frame, "time_s": frame.time_s, **record}
                for frame in seen
                for record in frame.answer.records()
                if record.get("label") is not None
            ]
            result.rows = records
            result.facts = {"frames": len(seen), "count": len(records)}
            if model.classes:
                result.remark = ("tool.watch-film.seen", result.facts)

        result.write_film = write
        return result

"""Does it serve: what another checkpoint makes of images as they are, and of the same ones translated."""

from typing import Any

from pydantic import Field

from studio.core import registry
from studio.core.errors import StudioError
from studio.core.tool import Bench, OtherCheckpoint, Tool, ToolInputs, ToolResult
from studio.data.specs import parse
from studio.runs.score_again import can_be_scored, score_again
from studio.store import Store


@registry.tool
class Serve(Tool):
    name, title = "serve", "Does it serve"
    about = "Scores a checkpoint that names, finds or draws classes on images as they are, and as this one makes them."

    class Inputs(ToolInputs):
        other: OtherCheckpoint = Field(description="The checkpoint that is scored")
        data: str = Field(min_length=1, description="Images with their labels, boxes or masks: masks:FOLDER")

    def fits(self, manifest: Any) -> bool:
        return registry.task_named(manifest.task).makes_images

    def fits_beside(self, manifest: Any) -> bool:
        return can_be_scored(manifest)

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        made = ", ".join(f"{part.text} | translate:{checkpoint}" for part in parse(inputs.data))
        task, rows = Store(bench.home).checkpoint(inputs.other).manifest.task, list[dict[str, Any]]()
        for name, test in (("as they are", inputs.data), ("translated", made)):
            result = score_again(inputs.other, inputs.data, test, bench.home)
            if result.status != "finished":
                raise StudioError(result.error or f"The run {result.run} was {result.status}.")
            rows.append({"images": name, **_shown(result.metrics, task)})
        score = list(rows[0])[1]
        facts = {"score": score, "before": rows[0][score], "after": rows[1][score]}
        return ToolResult(facts, ("tool.serve.seen", facts), rows)


def _shown(metrics: dict[str, Any], task: str) -> dict[str, Any]:
    """A task's headlines among the metrics, the score first, and its 95 % interval where there is one."""
    names = [name for name in registry.task_named(task).headlines if name in metrics]
    interval = f"{names[0]}_ci95"
    return {
        names[0]: metrics[names[0]],
        **({"±": metrics[interval]} if interval in metrics else {}),
        **{name: metrics[name] for name in names[1:]},
    }

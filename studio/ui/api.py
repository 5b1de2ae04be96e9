"""What scripts and agents may call over HTTP and MCP: a few named functions, nothing of the page's own."""

from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.runs.cost import PROBE_S
from studio.runs.export import WRITERS
from studio.ui.actions import Actions
from studio.ui.files import served
from studio.ui.guard import guarded
from studio.ui.label_api import label_functions
from studio.ui.pages import tools
from studio.ui.version_api import version_functions

LIMIT = 8  # calls of one endpoint at once: they read, or file, and return


def add_api(actions: Actions) -> None:
    """Adds the public endpoints to the Blocks being built."""

    def list_presets() -> list[dict[str, Any]]:
        """Presets that can be run, with task, method and one line of what each shows."""
        return recipes.list_presets(actions.home)

    def list_methods() -> list[dict[str, Any]]:
        """Methods with their parameters, defaults and ranges."""
        return [registry.describe(cls) for cls in registry.methods()]

    def start_run(preset: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Files a run of a preset and returns its id at once; it is started when there is room for it.

        Args:
            preset: name of a preset, such as quickstart
            settings: recipe keys to change, such as {"eval.shots": 1}
        """
        values = recipes.read_yaml(recipes.find_preset(_name(preset), actions.home))
        notes = recipes.override(values, settings)
        run = actions.start(values, notes=notes)
        actions.work(run)
        return {"run": run}

    def estimate_run(preset: str, settings: dict[str, Any], probe: bool = False) -> dict[str, Any]:
        """Seconds and memory that a run will take, and between which seconds it likely ends; empty where unknown.

        Args:
            preset: name of a preset, such as quickstart
            settings: recipe keys to change, such as {"eval.shots": 1}
            probe: where no past run tells it, work on the recipe for half a minute (never on a hosted page)
        """
        values = recipes.read_yaml(recipes.find_preset(_name(preset), actions.home))
        recipes.override(values, settings)
        estimate = actions.cost(values, PROBE_S if probe else 0.0)
        return estimate.to_dict() if estimate else {}

    def show_run(run: str) -> dict[str, Any]:
        """Status, progress, metrics and checkpoint of a run.

        Args:
            run: id of the run
        """
        view = actions.view(run)
        return {
            "run": view.run, "status": view.status, "place": view.place, "doing": view.what,
            "done": view.done, "total": view.total, "metrics": view.metrics,
            "checkpoint": view.checkpoint, "error": view.error, "notes": view.notes,
        }  # fmt: skip

    def stop_run(run: str) -> dict[str, Any]:
        """Asks a run to save and stop; one that waits is stopped at once.

        Args:
            run: id of the run
        """
        return {"run": run, "asked": True, "status": actions.stop(run)}

    def list_runs() -> list[dict[str, Any]]:
        """Runs of this home, newest first."""
        return [{key: row.get(key) for key in ("run", "status", "method", "created")} for row in actions.store.runs()]

    def check_data(data: str) -> dict[str, Any]:
        """What `data check` reports: counts, classes, broken files, duplicates, leaks between splits.

        Args:
            data: a data spec, such as folder:photos or builtin:digits
        """
        return actions.examine(data).report

    def list_checkpoints() -> list[dict[str, Any]]:
        """Checkpoints that answer about an image, newest first."""
        return [{"checkpoint": name, "about": about} for about, name in actions.checkpoints()]

    reading = (list_presets, list_methods, estimate_run, show_run, list_runs, check_data, list_checkpoints)
    for function in (*reading, start_run, stop_run, *label_functions(actions), *version_functions(actions)):
        gr.api(guarded(function), api_name=function.__name__, concurrency_limit=LIMIT)
    _add_files(actions)
    tools.add_endpoints(actions)


def _add_files(actions: Actions) -> None:
    """The endpoints that take a file or give one: their inputs and outputs are components, which nobody sees."""

    def predict(checkpoint: str, image: Image.Image | None, topk: float) -> tuple[dict[str, Any], Image.Image | None]:
        """The answer of a checkpoint about an image, and the image with what was found drawn into it."""
        if image is None:
            raise UsageError("predict: no image was given.")
        prediction = next(iter(actions.model(checkpoint).look([image])))
        return prediction.to_dict(int(topk)), prediction.answer.draw(image)

    def export(checkpoint: str, kind: str) -> list[str]:
        """The files of a checkpoint in another tool's format."""
        report = actions.export(checkpoint, kind)
        return [served(Path(report["folder"]) / file) for file in report["files"]]

    with gr.Row(visible=False):
        checkpoint = gr.Textbox(label="checkpoint", elem_id="api-checkpoint")
        image = gr.Image(type="pil", label="image", elem_id="api-image")
        topk = gr.Number(5, precision=0, minimum=1, label="topk", elem_id="api-topk")
        kind = gr.Dropdown(list(WRITERS), label="format", elem_id="api-format")
        answer = gr.JSON(label="answer", elem_id="api-answer")
        drawn = gr.Image(label="drawn", format="png", elem_id="api-drawn")
        files = gr.Files(label="files", elem_id="api-files")
    device = {"concurrency_id": "device", "concurrency_limit": 1}
    gr.on([], guarded(predict), [checkpoint, image, topk], [answer, drawn], api_name="predict", **device)
    gr.on([], guarded(export), [checkpoint, kind], [files], api_name="export", **device)


def _name(preset: str) -> str:
    """Over the network a preset is a name, never a file."""
    return preset.replace("/", "").replace("\\", "").removesuffix(".yaml").removesuffix(".yml")

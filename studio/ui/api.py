"""What scripts and agents may call over HTTP and MCP: a few named functions, nothing of the page's own."""

from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.core import registry
from studio.runs.cost import PROBE_S
from studio.ui.actions import Actions
from studio.ui.guard import guarded
from studio.ui.label_api import label_functions

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
        return {"run": actions.start(values, notes=notes)}

    def estimate_run(preset: str, settings: dict[str, Any], probe: bool = False) -> dict[str, Any]:
        """Seconds and memory that a run will take, and between which seconds nine of ten end; empty where unknown.

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

    own = (list_presets, list_methods, estimate_run, start_run, show_run, stop_run, list_runs)
    for function in (*own, *label_functions(actions)):
        gr.api(guarded(function), api_name=function.__name__, concurrency_limit=LIMIT)


def _name(preset: str) -> str:
    """Over the network a preset is a name, never a file."""
    return preset.replace("/", "").replace("\\", "").removesuffix(".yaml").removesuffix(".yml")

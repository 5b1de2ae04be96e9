"""What the command line prints: progress bars and tables by rich, on stderr where results don't belong."""

import csv
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from studio.core.events import FINAL, read_events
from studio.core.stdout import print_json

if TYPE_CHECKING:
    from studio.runs.predict import Prediction
    from studio.store.outputs import Outputs

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A sentence for a person, on stderr; stdout is kept for results."""
    _err.print(text, markup=False, soft_wrap=True)


def show_rows(rows: list[dict[str, Any]], columns: list[str], as_json: bool, what: str) -> int:
    """A list of objects as one JSON list, or as a table of some columns."""
    if as_json:
        print_json(rows)
    elif rows:
        _out.print(_table(columns, [[_short(row.get(column)) for column in columns] for row in rows]))
    else:
        say(f"There are no {what} yet.")
    return 0


def show_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table of texts."""
    _out.print(_table(columns, rows))


def show_tool_result(result: Any, name: str, folder: str, as_json: bool) -> int:
    """What a tool gave back: its facts or rows, and where its drawing or film was written."""
    from studio.store.outputs import Outputs

    written, outputs = {}, Outputs(folder)
    if result.image is not None:
        written["image"] = str(outputs.write(f"{name}.png", result.image.save))
    if result.write_film is not None:
        written["film"] = str(outputs.write(f"{name}.mp4", result.write_film))
    if as_json:
        print_json({**result.facts, "rows": result.rows, **written})
        return 0
    if result.rows:
        show_rows(result.rows, list(result.rows[0]), False, "rows")
    for key, value in {**result.facts, **written}.items():
        if not isinstance(value, (dict, list)):
            say(f"{key}: {_short(value)}")
    return 0


def show_result(result: Any) -> None:
    """How a run ended: its numbers as a table, or why it did not finish."""
    if result.status == "finished":
        _out.print(
            _table(
                ["metric", "value"],
                [
                    [name, _short(value)]
                    for name, value in result.metrics.items()
                    if not isinstance(value, (dict, list))
                ],
            )
        )
        say(f"Run {result.run} finished in {result.seconds:.1f} s on {result.device}.")
        say(f"Checkpoint: {result.checkpoint or 'none'}")
    elif result.status == "stopped":
        say(f"{result.error or 'Stopped.'}\nGo on with: python launch.py resume {result.run}")
    else:
        say(f"error: {result.error}\nRun {result.run} failed.")


def show_forms(rows: list[dict[str, Any]]) -> None:
    """Forms of a network beside each other: how right, how large, how fast."""
    if rows:
        _out.print(_table(list(rows[0]), [[_short(value) for value in row.values()] for row in rows]))


def show_run(run: Any, as_json: bool, place: int | None = None) -> int:
    """A run in full: status, recipe, numbers, tables, figures and warnings from its events.

    `place` is that in the queue, of a run that waits.
    """
    from studio.core.recipe import to_yaml

    events = run.events()
    recipe = run.recipe()
    tables = [event for event in events if event["kind"] == "table"]
    figures = [str(run.path / event["path"]) for event in events if event["kind"] == "figure"]
    notes = [event["message"] for event in events if event["kind"] in ("note", "warning", "error")]
    if as_json:
        values = {
            "run": run.id, "status": run.status(), "place": place, "recipe": recipe.model_dump(),
            "metrics": run.metrics(), "checkpoint": run.checkpoint(), "folder": str(run.path), "tables": tables,
            "figures": figures, "notes": notes,
        }  # fmt: skip
        print_json(values)
        return 0
    waits = f", number {place} in the queue" if place else ""
    _out.print(f"{run.id}  {run.status()}{waits}\n", markup=False)
    _out.print(to_yaml(recipe), markup=False)
    metrics = run.metrics() or {}
    if metrics:
        _out.print(_table(["metric", "value"], [[name, _short(value)] for name, value in metrics.items()]))
    for table in tables:
        _out.print(_table(table["columns"], [[_short(cell) for cell in row] for row in table["rows"]], table["name"]))
    for line in [*notes, *(f"figure: {path}" for path in figures)]:
        _out.print(line, markup=False)
    return 0


def show_methods(rows: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        mark = " (transductive)" if row["transductive"] else ""
        _out.print(f"[bold]{row['id']}[/bold]{mark}  {row['title']}  [dim]{row['paper']}[/dim]")
        for field in row["params"]:
            limits = " ".join(f"{key} {value}" for key, value in field["range"].items())
            about = f"{field['type']} {limits}".strip()
            _out.print(f"    {field['name']} = {field['default']!r}  ({about})  {field['help']}", markup=False)
    return 0


def show_predictions(predictions: "Sequence[Prediction]", as_json: bool, topk: int, outputs: "Outputs | None") -> int:
    """Predictions as a table or JSON, and as predictions.csv among the outputs. 1 if no image could be read."""
    rows = [prediction.to_dict(topk) for prediction in predictions]
    if outputs is not None:
        path = outputs.write_bytes("predictions.csv", _csv([row for one in predictions for row in one.records()]))
        say(f"Wrote {path}")
    if as_json:
        print_json(rows)
    else:
        cells = [
            [_named(row), row.get("label") or "-", _short(row.get("score")), prediction.answer.line()]
            for row, prediction in zip(rows, predictions, strict=True)
        ]
        _out.print(_table(["image", "label", "score", "others"], cells))
    return 1 if all("error" in row for row in rows) else 0


def show_data_report(report: Any, as_json: bool) -> int:
    values = report.to_dict()
    if as_json:
        print_json(values)
        return 0
    for name, value in values.items():
        if name != "problems" and not isinstance(value, (dict, list)):
            _out.print(f"{name}: {value}", markup=False)
    counts = values.get("classes")
    if isinstance(counts, dict):
        what = "boxes" if values.get("boxes") else "images"
        _out.print(_table(["class", what], [[name, str(count)] for name, count in counts.items()]))
    if values.get("boxes"):
        _out.print(_table(["boxes", ""], [[name, _short(value)] for name, value in values["boxes"].items()]))
    for problem in report.problems:
        _out.print(f"- {problem}", markup=False)
    if not report.problems:
        _out.print("No problem was found.")
    return 0


def show_doctor(facts: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(facts)
        return 0
    _out.print(
        _table(["package", "version"], [[name, version or "missing"] for name, version in facts["versions"].items()])
    )
    _out.print(
        _table(
            ["device", "name", "total GB", "free GB", "precision"],
            [[_short(cell) for cell in row.values()] for row in facts["devices"]],
        )
    )
    _out.print(f"home: {facts['home']} ({facts['home_free_gb']:.1f} GB free)", markup=False)
    for line in [*facts["remarks"], *facts["missing"]]:
        _out.print(f"- {line}", markup=False)
    return 0


@contextmanager
def progress(run: Any, quiet: bool = False) -> Iterator[None]:
    """Progress bars of a run on stderr, drawn from its events while the body works on it."""
    if quiet:
        yield
        return
    start = run.events_path.stat().st_size if run.events_path.exists() else 0
    done = threading.Event()
    painter = threading.Thread(target=_paint, args=(run.events_path, start, done), daemon=True)
    painter.start()
    try:
        yield
    finally:
        done.set()
        painter.join(timeout=5)


@contextmanager
def film_progress(name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar of a film on stderr; what it gives is called with the number of each frame that is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, transient=not _err.is_terminal) as bars:
        task = bars.add_task(name, total=total)
        yield lambda number: bars.update(task, completed=number + 1)


@contextmanager
def counting(name: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; what it gives is called with how many are done, of how many."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, transient=not _err.is_terminal, disable=quiet) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def sweep_progress(quiet: bool = False) -> Iterator[Callable[[Any], None]]:
    """One bar for a sweep on stderr: runs done and at work, the best so far, the time that is left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[extra]}"))
    with Progress(*columns, console=_err, transient=not _err.is_terminal, disable=quiet) as bars:
        task = bars.add_task("runs", total=None, extra="")

        def draw(state: Any) -> None:
            best = "" if state.best is None else f", best {state.best:.4g}"
            left = "" if state.left_s is None else f", about {max(1, round(state.left_s / 60))} min left"
            bars.update(task, completed=state.done, total=state.total, extra=f"{state.at_work} at work{best}{left}")

        yield draw


def _paint(path: Path, start: int, done: threading.Event) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[extra]}"),
    )
    with Progress(*columns, console=_err, transient=not _err.is_terminal) as bars:
        tasks: dict[str, Any] = {}
        while True:
            last = done.is_set()
            events, start = read_events(path, start)
            for event in events:
                _draw(bars, tasks, event)
            if last or any(event["kind"] == "status" and event["status"] in FINAL for event in events):
                return
            done.wait(0.15)


def _draw(bars: Any, tasks: dict[str, Any], event: dict[str, Any]) -> None:
    if event["kind"] == "progress":
        name = event["what"]
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=event["total"], extra="")
        bars.update(tasks[name], completed=event["done"], total=event["total"])
    elif event["kind"] == "scalar" and tasks:
        bars.update(list(tasks.values())[-1], extra=f"{event['name']} {_short(event['value'])}")
    elif event["kind"] in ("note", "warning"):
        bars.console.print(event["message"], markup=False)


def _table(columns: list[str], rows: list[list[str]], title: str | None = None) -> Table:
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value[:6])) + (", ..." if len(value) > 6 else "")
    return "" if value is None else str(value)


def _named(row: dict[str, Any]) -> str:
    return f"{row['image']} at {row['time_s']:.2f} s" if "time_s" in row else row["image"]


def _csv(records: list[dict[str, Any]]) -> bytes:
    """A table file with every key of the records as a column, in the order in which they first come."""
    columns = list(dict.fromkeys(["image", "label", "score", "error", *(key for row in records for key in row)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode("utf-8", "surrogateescape")

"""Runs: made, gone on with, stopped, listed and shown."""

import argparse
import sys
from typing import Any

from studio.cli.parser import check_on, command, json_option, on_option
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.stdout import print_json

#: what the demo runs, one after the other, and what it says before each
DEMO = {
    "quickstart": "First without training: a classifier of digits that was shown five scans of each, in 600 episodes.",
    "quickstart-tuned": "Then with training: the same network learns from 32 scans of each digit.",
}


@command("demo", "a first run on real scanned digits, with weights that arrive with pip")
def demo(args: argparse.Namespace) -> int:
    from studio.terminal import say, show_result

    home = Home.find()
    say(
        "Transfer Studio demo: a pretrained network learns handwritten digits from a handful of scans, on this machine."
    )
    for preset, text in DEMO.items():
        say(f"\n{text}")
        result = _run_in_foreground(recipes.load(preset, home=home), home, quiet=False)
        show_result(result)
        if result.status != "finished":
            return result.exit_code
        say(f"The checkpoint is {result.checkpoint} in {home.checkpoints / result.checkpoint}")
    say("\nOpen the page with:\n\n    python launch.py ui\n")
    return result.exit_code


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a preset name or a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    parser.add_argument("--dry-run", action="store_true", help="check the recipe, print it and what it costs, and stop")
    parser.add_argument("--probe", action="store_true", help="with --dry-run: work on it for half a minute to tell")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--queue", action="store_true", help="file it and return; it starts when there is room for it")
    on_option(parser)
    json_option(parser)


@command("run", "run a preset or a YAML file in the foreground", _run_arguments)
def run(args: argparse.Namespace) -> int:
    home = Home.find()
    recipe = recipes.load(args.recipe, args.set, home)
    if args.probe and not args.dry_run:
        raise UsageError("--probe says what a run would cost, and is for --dry-run.")
    if args.dry_run:
        return _dry_run(recipe, home, args)
    if args.queue:
        return _file_in_queue(recipe, home, args.json, args.on)
    return _finish(_run_in_foreground(recipe, home, args.quiet or args.json, args.on), args)


def _dry_run(recipe: recipes.Recipe, home: Home, args: argparse.Namespace) -> int:
    from studio.runs import cost

    estimate = cost.estimate(recipe, home, cost.PROBE_S if args.probe else 0.0)
    memory_gb = registry.procedure_for(recipe.method_class()).memory_gb(recipe, home)
    told = f"it takes {estimate}" if estimate else "no run of this kind tells what it takes; --probe tries it"
    for note in (*recipe.notes, f"it asks for {memory_gb:.1f} GB of the device's memory", told):
        print(f"note: {note}", file=sys.stderr)
    if args.json:
        print_json({"recipe": recipe.model_dump(), "cost": estimate.to_dict() if estimate else None})
    else:
        print(recipes.to_yaml(recipe), end="")
    return 0


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run's id, the beginning of one, or `last`")


@command(
    "resume",
    "go on with a stopped or failed run",
    lambda p: (_run_argument(p), p.add_argument("--quiet", action="store_true"), on_option(p), json_option(p)),
)
def resume(args: argparse.Namespace) -> int:
    from studio.runs.executors import run_inline
    from studio.store import Store
    from studio.terminal import progress

    home = Home.find()
    run = Store(home).run(args.run)
    if run.is_alive():
        raise UsageError(f"Run {run.id} is being worked on already.")
    if run.status() == "finished":
        raise UsageError(f"Run {run.id} is finished; there is nothing to resume.")
    check_on(args.on)
    run.clear_stop()
    with progress(run, quiet=args.quiet or args.json):
        result = run_inline(run, home, resume=True, on=args.on)
    return _finish(result, args)


@command("stop", "ask a run to save and stop", _run_argument)
def stop(args: argparse.Namespace) -> int:
    from studio.runs import queue
    from studio.store import Store
    from studio.terminal import say

    home = Home.find()
    run = Store(home).run(args.run)
    stopped = queue.stop(run, home) == "stopped"
    say(f"Run {run.id} waited and is stopped." if stopped else f"Run {run.id} was asked to stop; it saves first.")
    return 0


@command("runs", "list runs, newest first", json_option)
def runs(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import show_rows

    return show_rows(Store(Home.find()).runs(), ["run", "status", "method", "created", "checkpoint"], args.json, "runs")


@command("show", "show a run: recipe, numbers, tables, figures", lambda p: (_run_argument(p), json_option(p)))
def show(args: argparse.Namespace) -> int:
    from studio.runs.queue import Queue, kick
    from studio.store import Store
    from studio.terminal import show_run

    home = Home.find()
    run = Store(home).run(args.run)
    kick(home)
    return show_run(run, args.json, place=Queue(home).place(run.id))


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", help="ids, beginnings of ids, or `last`; seeds of one recipe are gathered")
    parser.add_argument(
        "--format", choices=("csv", "markdown", "latex"), help="a table to keep, instead of one to read"
    )
    json_option(parser)


@command("compare", "several runs side by side: what differs, and their numbers with intervals", _compare_arguments)
def compare(args: argparse.Namespace) -> int:
    from studio.runs.comparison import compare as put_side_by_side
    from studio.runs.comparison_table import as_text, cells
    from studio.store import Store
    from studio.terminal import say, show_table

    comparison = put_side_by_side(args.runs, Store(Home.find()))
    if args.json:
        print_json(comparison.to_dict())
    elif args.format:
        print(as_text(comparison, args.format), end="")
    else:
        show_table(*cells(comparison))
        for remark in comparison.remarks:
            say(remark)
    return 0


def _run_in_foreground(recipe: recipes.Recipe, home: Home, quiet: bool, on: str | None = None) -> Any:
    from studio.runs.executors import run_inline
    from studio.runs.runner import submit
    from studio.store import Store
    from studio.terminal import progress

    run = submit(recipe, Store(home), on)
    with progress(run, quiet=quiet):
        return run_inline(run, home, on=on)


def _file_in_queue(recipe: recipes.Recipe, home: Home, as_json: bool, on: str | None) -> int:
    from studio.runs.queue import Queue, enqueue
    from studio.runs.runner import submit
    from studio.store import Store
    from studio.terminal import say

    run = submit(recipe, Store(home), on)
    enqueue(run, home, on=on)
    place = Queue(home).place(run.id)
    print_json({"run": run.id, "status": "queued", "place": place}) if as_json else say(
        f"Run {run.id} is filed. Watch it with: python launch.py show {run.id}"
    )
    return 0


def _finish(result: Any, args: argparse.Namespace) -> int:
    from studio.terminal import show_result

    if args.json:
        if result.error:
            print(f"error: {result.error}", file=sys.stderr)
        print_json(result.to_dict())
    else:
        show_result(result)
    return result.exit_code

"""Many runs of one recipe: keys chosen by Optuna, every combination of values, or the parts of a table."""

import argparse
from typing import Any

from studio.cli.parser import command, count, json_option, on_option
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.stdout import print_json


def _sweep_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a preset name or a YAML file")
    parser.add_argument("--over", action="append", default=[], metavar="KEY=VALUES",
                        help="LOW..HIGH, log:LOW..HIGH or VALUE,VALUE,...; again for more keys; a recipe that makes a "
                        "table needs none: its parts are the runs")  # fmt: skip
    parser.add_argument("--grid", action="store_true", help="every combination of the values, in one comparison")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of all runs")
    parser.add_argument("--trials", type=count, default=20, help="runs in all, those of an earlier call included")
    parser.add_argument("--jobs", type=count, help="runs at once (default: as many as the queue has room for)")
    parser.add_argument("--metric", help="instead of the validation score; oracle:NAME where it is of test images")
    on_option(parser)
    json_option(parser)


@command("sweep", "many runs of one recipe, or of the parts of a table; the same command goes on", _sweep_arguments)
def sweep(args: argparse.Namespace) -> int:
    from studio.runs.sweep.space import Space, read_over
    from studio.terminal import say, sweep_progress

    home, space = Home.find(), Space(args.recipe, tuple(args.set), tuple(map(read_over, args.over)))
    searches = bool(space.overs) and not args.grid
    at_work = _study(space, home, args) if searches else _table(space, home, args)
    with sweep_progress(args.json) as on_change:
        at_work.work(args.jobs, on_change, say)
    return _show_study(at_work, args.json) if searches else _show_table(at_work, args.json)


def _study(space: Any, home: Home, args: argparse.Namespace) -> Any:
    from studio.runs.sweep.study import Study

    return Study(space, home, args.trials, args.metric, args.on)


def _table(space: Any, home: Home, args: argparse.Namespace) -> Any:
    from studio.runs.sweep.table import table_of

    if args.metric:
        raise UsageError("--metric: a table chooses nothing by a number; leave it out.")
    return table_of(space, home, args.on)


def _show_study(study: Any, as_json: bool) -> int:
    from studio.terminal import say, show_rows

    best, pictures = study.best(), [str(path) for path in study.draw()]
    if as_json:
        found = {"run": best.user_attrs["run"], "score": best.value, "values": best.params} if best else None
        print_json({"sweep": study.name, "best": found, "trials": study.rows(), "figures": pictures})
        return 0 if best else 1
    rows = sorted(study.rows(), key=lambda row: float("-inf") if row["score"] is None else row["score"], reverse=True)
    show_rows(rows, list(rows[0]), False, "runs")
    for path in pictures:
        say(f"figure: {path}")
    return 0 if best else 1


def _show_table(table: Any, as_json: bool) -> int:
    """The comparison of a grid, or the numbers of the whole table; where a run has not finished, which."""
    from studio.runs.comparison import compare
    from studio.runs.comparison_table import cells
    from studio.store import Store
    from studio.terminal import say, show_rows, show_table

    rows, store, result = table.rows(), Store(table.home), None
    finished = all(row["status"] == "finished" for row in rows)
    if len(table.result_runs()) > 1:
        result = compare(table.result_runs(), store, most=len(rows))
    if as_json:
        whole = store.run(table.result_runs()[0]).metrics() if table.whole and table.result_runs() else None
        print_json({
            "sweep": table.name, "runs": rows, "metrics": whole, "comparison": result.to_dict() if result else None
        })  # fmt: skip
        return 0 if finished else 1
    if not finished or result is None:
        show_rows(rows, list(rows[0]), False, "runs")
    if result is not None:
        show_table(*cells(result))
        for remark in result.remarks:
            say(remark)
    for run in table.result_runs() if table.whole else ():
        say(f"The table: python launch.py show {run}")
    return 0 if finished else 1

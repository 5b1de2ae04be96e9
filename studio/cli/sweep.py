"""Many runs of one recipe, their keys chosen by Optuna."""

import argparse

from studio.cli.parser import command, count, json_option, on_option
from studio.core.home import Home
from studio.core.stdout import print_json


def _sweep_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a preset name or a YAML file")
    parser.add_argument("--over", action="append", required=True, metavar="KEY=VALUES",
                        help="LOW..HIGH, log:LOW..HIGH or VALUE,VALUE,...; again for more keys")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of all runs")
    parser.add_argument("--trials", type=count, default=20, help="runs in all, those of an earlier call included")
    parser.add_argument("--jobs", type=count, help="runs at once (default: as many as the queue has room for)")
    parser.add_argument("--metric", help="instead of the validation score; oracle:NAME where it is of test images")
    on_option(parser)
    json_option(parser)


@command("sweep", "many runs of one recipe, its keys chosen by Optuna; the same command goes on", _sweep_arguments)
def sweep(args: argparse.Namespace) -> int:
    from studio.runs.sweep.space import Space, read_over
    from studio.runs.sweep.study import Sweep
    from studio.terminal import say, show_rows, sweep_progress

    space = Space(args.recipe, tuple(args.set), tuple(map(read_over, args.over)))
    at_work = Sweep(space, Home.find(), args.metric, args.on)
    with sweep_progress(args.json) as on_change:
        at_work.work(args.trials, args.jobs, on_change, say)
    best, pictures = at_work.best(), [str(path) for path in at_work.draw()]
    if args.json:
        found = {"run": best.user_attrs["run"], "score": best.value, "values": best.params} if best else None
        print_json({"sweep": at_work.name, "best": found, "trials": at_work.rows(), "figures": pictures})
        return 0 if best else 1
    rows = sorted(at_work.rows(), key=lambda row: float("-inf") if row["score"] is None else row["score"], reverse=True)
    show_rows(rows, list(rows[0]), False, "runs")
    for path in pictures:
        say(f"figure: {path}")
    return 0 if best else 1

"""The studio in a terminal: one function a command, each thin.

Exit codes: 0 finished, 1 failed, 2 wrong usage or recipe, 3 stopped by the user. Progress and logs go
to stderr; with --json the last line of stdout is one JSON object or list. Imports are made where they
are needed, so that `--help`, `presets` and `runs` answer at once.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import StudioError, UsageError, nearest
from studio.core.home import Home
from studio.core.stdout import print_json, take_any_text


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    take_any_text()
    parser = build_parser()
    args = parser.parse_args(_default_to_ui(sys.argv[1:] if argv is None else list(argv)))
    try:
        return args.command_function(args) or 0
    except StudioError as error:
        if getattr(args, "json", False):
            print_json({"error": str(error)})
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 3
    except BrokenPipeError:
        return 0


def _default_to_ui(argv: list[str]) -> list[str]:
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        return ["ui", *argv]
    return argv


class _Parser(argparse.ArgumentParser):
    """Unknown commands are refused with the nearest known one."""

    def error(self, message: str) -> None:  # type: ignore[override]
        if "invalid choice" in message and self._subparsers is not None:
            wrong = message.split("'")[1]
            message = f"there is no command {wrong!r}.{nearest(wrong, COMMANDS)}"
        self.print_usage(sys.stderr)
        self.exit(2, f"error: {message}\n")


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {}


def command(name: str, about: str, arguments: Callable[[argparse.ArgumentParser], Any] | None = None) -> Any:
    """Registers a command: its name, one line about it, and what declares its arguments."""

    def add(function: Callable[[argparse.Namespace], int | None]) -> Callable[[argparse.Namespace], int | None]:
        def declare(parser: argparse.ArgumentParser) -> None:
            if arguments is not None:
                arguments(parser)
            parser.set_defaults(command_function=function)

        COMMANDS[name] = (about, declare)
        return function

    return add


def build_parser() -> argparse.ArgumentParser:
    from studio import __version__

    parser = _Parser(
        prog="launch.py",
        description="Transfer Studio: move pretrained vision models to your classes.",
        epilog="`launch.py test [pytest arguments]` runs the tests. Runs and checkpoints are kept in STUDIO_HOME.",
    )
    parser.add_argument("--version", action="version", version=f"Transfer Studio {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, (about, declare) in COMMANDS.items():
        declare(commands.add_parser(name, help=about, description=about))
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON value as the last line of stdout")


def _ui_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--preset", help="open with this preset chosen")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="ask visitors for this name and password")
    parser.add_argument("--share", action="store_true", help="a temporary public address through Gradio")
    parser.add_argument(
        "--hosted", action="store_true", help="serve strangers, as behind a proxy: each sees and opens their own alone"
    )
    parser.add_argument(
        "--allow-host", metavar="NAME", action="append", default=[],
        help="a name that the page is reached by, such as studio.example.org; again for more",
    )  # fmt: skip


@command("ui", "serve the page (also without a command)", _ui_arguments)
def ui(args: argparse.Namespace) -> int:
    from studio.terminal import say
    from studio.ui import serve

    if args.preset:
        recipes.find_preset(args.preset, Home.find())
    if args.auth is not None and not all(args.auth.partition(":")):
        raise UsageError("--auth: expected USER:PASSWORD, neither empty.")
    if remark := Home.find().open_to_others():
        say(remark)
    return serve(
        host=args.host, port=args.port, preset=args.preset, auth=args.auth, share=args.share, hosted=args.hosted,
        hosts=args.allow_host,
    )  # fmt: skip


@command("demo", "a first run on real scanned digits, with weights that arrive with pip")
def demo(args: argparse.Namespace) -> int:
    from studio.terminal import say, show_result

    home = Home.find()
    say("Transfer Studio demo: a classifier for handwritten digits from a handful of scans, on this machine alone.")
    result = _run_in_foreground(recipes.load("quickstart", home=home), home, quiet=False)
    show_result(result)
    if result.status == "finished":
        say(f"\nThe checkpoint is {result.checkpoint} in {home.checkpoints / result.checkpoint}")
        say("Open the page with:\n\n    python launch.py ui\n")
    return result.exit_code


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a preset name or a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    parser.add_argument("--dry-run", action="store_true", help="check the recipe, print it and stop")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--queue", action="store_true", help="file it and return; it starts when there is room for it")
    _json(parser)


@command("run", "run a preset or a YAML file in the foreground", _run_arguments)
def run(args: argparse.Namespace) -> int:
    home = Home.find()
    recipe = recipes.load(args.recipe, args.set, home)
    if args.dry_run:
        for note in recipe.notes:
            print(f"note: {note}", file=sys.stderr)
        if args.json:
            print_json({"recipe": recipe.model_dump()})
        else:
            print(recipes.to_yaml(recipe), end="")
        return 0
    if args.queue:
        return _file_in_queue(recipe, home, args.json)
    return _finish(_run_in_foreground(recipe, home, args.quiet or args.json), args)


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run's id, the beginning of one, or `last`")


@command(
    "resume",
    "go on with a stopped or failed run",
    lambda p: (_run_argument(p), p.add_argument("--quiet", action="store_true"), _json(p)),
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
    run.clear_stop()
    with progress(run, quiet=args.quiet or args.json):
        result = run_inline(run, home, resume=True)
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


@command("runs", "list runs, newest first", _json)
def runs(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import show_rows

    return show_rows(Store(Home.find()).runs(), ["run", "status", "method", "created", "checkpoint"], args.json, "runs")


@command("show", "show a run: recipe, numbers, tables, figures", lambda p: (_run_argument(p), _json(p)))
def show(args: argparse.Namespace) -> int:
    from studio.runs.queue import Queue, kick
    from studio.store import Store
    from studio.terminal import show_run

    home = Home.find()
    run = Store(home).run(args.run)
    kick(home)
    return show_run(run, args.json, place=Queue(home).place(run.id))


@command("presets", "list shipped presets and your own", _json)
def presets(args: argparse.Namespace) -> int:
    from studio.terminal import show_rows

    rows = recipes.list_presets(Home.find())
    return show_rows(rows, ["name", "task", "method", "about"], args.json, "presets")


@command("methods", "list methods with their parameters", lambda p: (p.add_argument("--task"), _json(p)))
def methods(args: argparse.Namespace) -> int:
    from studio.core import registry
    from studio.terminal import show_methods

    tasks = {cls.task for cls in registry.methods()}
    if args.task and args.task not in tasks:
        raise UsageError(f"--task: there is no task {args.task!r}.{nearest(args.task, tasks)}")
    return show_methods([registry.describe(cls) for cls in registry.methods(args.task)], args.json)


@command("backbones", "list backbones usable now, and how to name others", _json)
def backbones(args: argparse.Namespace) -> int:
    from studio.core import registry
    from studio.terminal import say, show_rows

    code = show_rows(registry.backbones(), ["name", "usable", "about"], args.json, "backbones")
    if not args.json:
        say("Others: " + recipes.ModelSection.model_fields["backbone"].description)
    return code


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint's id, tag, or the run that made it")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image files, folders or videos")
    parser.add_argument("--topk", type=int, default=5)
    parser.add_argument(
        "--out", metavar="DIR", help="also write predictions.csv (and drawings, for boxes and masks) into DIR"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of a video, look at every N-th frame")
    parser.add_argument("--beside", metavar="ID", help="compare with this checkpoint, box by box (detectors)")
    _look_arguments(parser)
    _json(parser)


def _look_arguments(parser: argparse.ArgumentParser) -> None:
    """How an image is looked at; each is a key of `eval`, with what the checkpoint was judged by as its default."""
    look = parser.add_argument_group("boxes and masks", "default: as the checkpoint was judged")
    look.add_argument("--mirror", action="store_true", default=None, help="look at the mirrored image too")
    look.add_argument(
        "--scales", metavar="X,X", type=_numbers, help="sizes to look at, as multiples of the checkpoint's"
    )
    look.add_argument("--slide", action="store_true", default=None, help="look through a sliding window (masks)")
    look.add_argument(
        "--ensemble", metavar="ID,ID", type=lambda text: text.split(","), help="join these checkpoints (boxes)"
    )
    look.add_argument("--fusion", help="how boxes are joined: nms, soft-nms, soft-nms-linear, voting, nmw or wbf")
    look.add_argument("--overlap", type=float, help="IoU above which a fusion takes two boxes for one")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _look(args: argparse.Namespace) -> dict[str, Any]:
    """What `_look_arguments` were given."""
    from studio.core import registry

    looks = {key for task in registry.tasks() for key in task.looks}
    return {key: value for key, value in vars(args).items() if key in looks and value is not None}


@command("predict", "predict images with a checkpoint", _predict_arguments)
def predict(args: argparse.Namespace) -> int:
    from studio.runs.predict import Files, image_files, load_checkpoint, split_films
    from studio.store.outputs import Outputs
    from studio.terminal import say, show_predictions

    if args.every < 1:
        raise UsageError(f"--every: found {args.every}; expected 1 or more.")
    stills, films = split_films(args.paths)
    files = image_files(stills) if stills else Files([], [])
    outputs = Outputs(args.out) if args.out else None
    model = load_checkpoint(args.checkpoint, device=args.device, look=_look(args))
    if files.note:
        say(files.note)
    if args.beside:
        return _predict_beside(args, model, files.images, outputs)
    predictions = [_drawn(prediction, outputs) for prediction in model.look(files.images)]
    for film in films:
        predictions += _watched(model, film, outputs, args.every)
    return show_predictions(predictions, args.json, args.topk, outputs)


def _drawn(prediction: Any, outputs: Any) -> Any:
    """The prediction with its image drawn into the outputs, where there are some, and let go."""
    if outputs is not None and prediction.image is not None:
        drawing = prediction.answer.draw(prediction.image)
        if drawing is not None:
            prediction.drawn = outputs.write(f"{Path(prediction.name).stem}.png", drawing.save)
        for ending, data in prediction.answer.files().items():
            outputs.write_bytes(f"{Path(prediction.name).stem}{ending}", data)
    prediction.image = None
    return prediction


def _watched(model: Any, film: Path, outputs: Any, every: int) -> list[Any]:
    from studio.runs.video import predict_video

    if outputs is None:
        return predict_video(model, film, None, every)
    predictions: list[Any] = []
    drawn = outputs.write(f"{film.stem}.mp4", lambda path: predictions.extend(predict_video(model, film, path, every)))
    for prediction in predictions:
        prediction.drawn = drawn
    return predictions


def _predict_beside(args: argparse.Namespace, model: Any, files: list[Path], outputs: Any) -> int:
    """Two checkpoints on the same images: a row an image, and both drawn into the outputs."""
    from studio.runs.compare_two import compare_two
    from studio.runs.predict import load_checkpoint
    from studio.terminal import show_rows

    other, rows = load_checkpoint(args.beside, device=args.device), []
    for file in files:
        comparison = compare_two(model, other, file)
        row = {"image": str(file), **comparison.counts}
        if outputs is not None:
            row["drawn"] = str(outputs.write(f"{file.stem}.png", comparison.drawn.save))
        rows.append(row)
    return show_rows(rows, ["image", "both", "first_only", "second_only"], args.json, "images")


@command("tools", "list what can be done with a checkpoint beyond predicting", _json)
def tools(args: argparse.Namespace) -> int:
    from studio.runs.tools import described
    from studio.runs.tools import tools as all_tools
    from studio.terminal import show_rows

    rows = [described(tool) for tool in all_tools()]
    return show_rows(rows, ["name", "about"], args.json, "tools")


def _tool_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a tool's name (launch.py tools)")
    parser.add_argument("checkpoint", nargs="?", help="a checkpoint's id, tag, or the run that made it")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the tool's own: launch.py tool NAME ID --help")


@command("tool", "do something with a checkpoint beyond predicting", _tool_arguments)
def tool(args: argparse.Namespace) -> int:
    from studio.core.tool import Bench
    from studio.runs.predict import load_checkpoint
    from studio.runs.tools import tool_named, use
    from studio.runs.tools.arguments import read_arguments
    from studio.store import Store
    from studio.terminal import show_tool_result

    chosen = tool_named(args.name)
    options, values = read_arguments(chosen, args.arguments if args.checkpoint else ["--help"])
    args.json = options.json
    checkpoint = Store(Home.find()).checkpoint(args.checkpoint)
    bench = Bench(lambda name, look=None: load_checkpoint(name, device=options.device, look=look))
    return show_tool_result(use(chosen, checkpoint, values, bench), chosen.name, options.out, options.json)


def _teach_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint")
    parser.add_argument("label", help="the class the photos show, known or new")
    parser.add_argument("paths", nargs="+", metavar="PATH")
    _json(parser)


@command("teach", "teach a few-shot checkpoint a new class or a correction", _teach_arguments)
def teach(args: argparse.Namespace) -> int:
    from studio.runs.predict import image_files, teach_checkpoint
    from studio.terminal import say

    taught = teach_checkpoint(args.checkpoint, {args.label: image_files(args.paths).images})
    print_json({"checkpoint": taught.id, "classes": taught.manifest.classes}) if args.json else say(
        f"New checkpoint: {taught.id}"
    )
    return 0


@command("checkpoints", "list checkpoints", _json)
def checkpoints(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import show_rows

    return show_rows(
        Store(Home.find()).checkpoints(),
        ["checkpoint", "method", "created", "classes", "tags"],
        args.json,
        "checkpoints",
    )


@command(
    "verify",
    "check the store's files against their hashes",
    lambda p: (p.add_argument("checkpoint", nargs="?"), _json(p)),
)
def verify(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import say

    problems = [str(problem) for problem in Store(Home.find()).verify(args.checkpoint)]
    if args.json:
        print_json({"problems": problems})
    else:
        say("\n".join(problems) or "Everything is as it was written.")
    return 1 if problems else 0


@command(
    "gc", "remove data that nothing refers to", lambda p: (p.add_argument("--dry-run", action="store_true"), _json(p))
)
def gc(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import say

    report = Store(Home.find()).gc(dry_run=args.dry_run)
    if args.json:
        print_json(report)
    else:
        did = "Would remove" if args.dry_run else "Removed"
        say(f"{did} {len(report['removed'])} files, {report['bytes'] / 2**20:.1f} MB.")
    return 0


@command("import", "bring a checkpoint in from a folder or zip", lambda p: (p.add_argument("path"), _json(p)))
def import_(args: argparse.Namespace) -> int:
    from studio.store import Store
    from studio.terminal import say

    checkpoint = Store(Home.find()).import_(Path(args.path))
    print_json({"checkpoint": checkpoint.id}) if args.json else say(f"Imported as {checkpoint.id}")
    return 0


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint")
    parser.add_argument("--format", choices=["safetensors", "onnx", "hf"], default="safetensors")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--push", metavar="ORG/NAME", help="upload to the Hugging Face Hub, with the token in HF_TOKEN")
    parser.add_argument("--public", action="store_true", help="with --push: anyone may see it (default: private)")
    _json(parser)


@command("export", "write a checkpoint for other tools", _export_arguments)
def export(args: argparse.Namespace) -> int:
    from studio.runs.export import export_checkpoint
    from studio.runs.push import check_push, push
    from studio.terminal import say

    if args.public and not args.push:
        raise UsageError("--public: it says how to push; name the repository with --push ORG/NAME.")
    if args.push:
        check_push(args.push)
    report = export_checkpoint(args.checkpoint, args.format, Path(args.out))
    if args.push:
        report["url"] = push(Path(args.out), args.push, args.public)
    print_json(report) if args.json else say(
        f"Wrote {', '.join(report['files'])} to {report['folder']}. {report['note']}"
        + (f" Pushed to {report['url']}." if args.push else "")
    )
    return 0


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"])
    parser.add_argument("spec", help="such as folder:photos or zip:photos.zip")
    _json(parser)


@command("data", "check a dataset: counts, broken files, duplicates, leaks", _data_arguments)
def data(args: argparse.Namespace) -> int:
    from studio.data import check
    from studio.terminal import show_data_report

    return show_data_report(check(args.spec), args.json)


@command("doctor", "versions, devices, memory, home folder, what is missing", _json)
def doctor(args: argparse.Namespace) -> int:
    from studio.runs.doctor import examine
    from studio.terminal import show_doctor

    return show_doctor(examine(Home.find()), args.json)


def _run_in_foreground(recipe: recipes.Recipe, home: Home, quiet: bool) -> Any:
    from studio.runs.executors import run_inline
    from studio.runs.runner import submit
    from studio.store import Store
    from studio.terminal import progress

    run = submit(recipe, Store(home))
    with progress(run, quiet=quiet):
        return run_inline(run, home)


def _file_in_queue(recipe: recipes.Recipe, home: Home, as_json: bool) -> int:
    from studio.runs.queue import Queue, enqueue
    from studio.runs.runner import submit
    from studio.store import Store
    from studio.terminal import say

    run = submit(recipe, Store(home))
    enqueue(run, home)
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


if __name__ == "__main__":
    sys.exit(main())

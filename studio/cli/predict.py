"""Predictions: of images and films, by one checkpoint or by two side by side."""

import argparse
from pathlib import Path
from typing import Any

from studio.cli.options import add_looks, looks_of
from studio.cli.parser import command, json_option
from studio.core.errors import UsageError


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint's id, tag, or the run that made it")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image files, folders or videos")
    parser.add_argument("--topk", type=int, default=5)
    parser.add_argument(
        "--out", metavar="DIR", help="also write predictions.csv (and drawings, for boxes and masks) into DIR"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of a video, look at every N-th frame")
    parser.add_argument("--side-by-side", action="store_true", help="of a video, write each frame beside its answer")
    parser.add_argument("--beside", metavar="ID", help="compare with this checkpoint, box by box (detectors)")
    add_looks(parser)
    json_option(parser)


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
    model = load_checkpoint(args.checkpoint, device=args.device, look=looks_of(args))
    if files.note:
        say(files.note)
    if args.beside:
        return _predict_beside(args, model, files.images, outputs)
    predictions = [_told(prediction, outputs, args.topk) for prediction in model.look(files.images)]
    for film in films:
        predictions += _watched(model, film, outputs, args)
    if model.predictor.note:
        say(model.predictor.note)
    return show_predictions(predictions, args.json, args.topk, outputs)


def _told(prediction: Any, outputs: Any, topk: int) -> Any:
    """The prediction in words, drawn into the outputs where there are some; nothing of its image is kept."""
    from studio.core.answers import Told

    if outputs is not None and prediction.image is not None:
        drawing = prediction.answer.draw(prediction.image)
        if drawing is not None:
            prediction.drawn = outputs.write(f"{Path(prediction.name).stem}.png", drawing.save)
        for ending, data in prediction.answer.files().items():
            outputs.write_bytes(f"{Path(prediction.name).stem}{ending}", data)
    prediction.image, prediction.answer = None, Told(prediction.answer, topk)
    return prediction


def _watched(model: Any, film: Path, outputs: Any, args: argparse.Namespace) -> list[Any]:
    from studio.data.files.video import frame_count
    from studio.runs.video import predict_video
    from studio.terminal import film_progress, say

    predictions: list[Any] = []
    with film_progress(film.name, frame_count(film)) as on_frame:

        def watch(path: Path | None) -> None:
            predictions.extend(
                predict_video(model, film, path, args.every, on_frame, say, args.topk, args.side_by_side)
            )

        if outputs is None:
            watch(None)
            return predictions
        drawn = outputs.write(f"{film.stem}.mp4", watch)
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

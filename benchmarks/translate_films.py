"""Films measured: how steady they are with and without the temporal loss, and how fast they go through.

    python benchmarks/translate_films.py steady FOLDER [--method recycle-gan] [--steps 150] [--temporal 0 10]
    python benchmarks/translate_films.py speed FILM.mp4 [--frames 100]
    python benchmarks/translate_films.py filter FILM.mp4 --home DIR --checkpoint last [--frames 40]

`steady`: FOLDER holds two films, each with thermal/ and visual/ frames, as the TNO films do. The longer one is learned
from, thermal to visual; the other is translated, and scored by warping error (by the motion of the thermal film), PSNR
and SSIM of its frames beside the visual film's, and KID of all its frames against all of the visual film's, by the
features of lite0. Rows with `steady` show the filter at use.

`speed`: frames a second of processor time, of a plain PyAV copy (decode, to RGB, encode), of `predict_video` with
frames left as they are, and of the network of fast-style.

`filter`: a checkpoint is exported as a film filter, and its script, in a process of its own without torch, beside
`predict_video`: frames a second of processor time, the mean difference of the frames, whether the sound is the film's.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from adapters.translate.run.features import Features
from adapters.translate.run.predictor import TranslatedImage
from studio import load_checkpoint, run
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.procedure import Predictor
from studio.data import open_data, read_image
from studio.data.files.video import Writer, frame_rate, frames
from studio.metrics.films import warping_error
from studio.metrics.translation import kid, psnr, ssim
from studio.runs.export import export_checkpoint
from studio.runs.predict import Model
from studio.runs.video import predict_video

ROUNDS = 5
SMALL = {"width": 16, "discriminator_width": 16, "layers": 2, "predictor_width": 16, "identity": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["steady", "speed", "filter"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--method", default="recycle-gan")
    parser.add_argument("--steps", type=int, default=150, help="of training, the same with every loss")
    parser.add_argument("--minutes", type=float, help="of training, instead of so many steps")
    parser.add_argument("--temporal", type=float, nargs="+", default=[0.0, 10.0])
    parser.add_argument("--steady", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--home", type=Path, help="the folder that keeps the checkpoint of filter")
    parser.add_argument("--checkpoint", default="last")
    parser.add_argument("--out", type=Path, help="also writes the middle frame of each film here")
    asked = parser.parse_args()
    if asked.what == "steady":
        steady(asked)
    elif asked.what == "speed":
        speed(asked.path, asked.frames)
    else:
        filtered(asked)


def steady(asked: argparse.Namespace) -> None:
    films = [path for path in sorted(asked.path.iterdir()) if path.is_dir()]
    learned, shown = sorted(films, key=lambda film: -len(list(film.glob("*/*"))))[:2]
    thermal, visual = (decoded(shown / look, asked.size) for look in ("thermal", "visual"))
    size = f"{thermal[0].shape[2]} x {thermal[0].shape[1]}"
    print(f"learned from {learned.name}, shown {shown.name}, {len(thermal)} frames of {size}")
    print(f"{'film':34}{'warping':>10}{'PSNR':>7}{'SSIM':>7}{'KID':>8}{'±':>7}")
    features = Features(registry.backbone("pip/tf_efficientnet_lite0"), "cpu")
    show("thermal as it is", thermal, thermal, visual, features)
    show("visual, the truth", thermal, visual, visual, features)
    for seed in asked.seeds:
        for temporal in asked.temporal:
            with tempfile.TemporaryDirectory() as folder:
                home = Home.find(Path(folder))
                result = run(recipe(asked, learned, temporal, seed), home=home)
                for share in (0.0, asked.steady):
                    model = load_checkpoint(result.checkpoint, home, look={"steady": share})
                    made = translated(model.predictor.watching(), thermal)
                    name = f"temporal {temporal:g}, steady {share:g}, seed {seed}"
                    show(name, thermal, made, visual, features)
                    keep(asked.out, f"{asked.method}-{name}", made)


def recipe(asked: argparse.Namespace, film: Path, temporal: float, seed: int) -> dict:
    source, target = (f"frames:{film / look}" for look in ("thermal", "visual"))
    length = {"minutes": asked.minutes} if asked.minutes else {"max_steps": asked.steps, "epochs": 10_000}
    return {
        "task": "translate", "method": f"translate/{asked.method}", "model": {"image_size": 64},
        "data": {"source": source, "target": target, "short_side": asked.size},
        "params": {**SMALL, "temporal": temporal},
        "train": {**length, "seed": seed, "batch_size": 2},
        "eval": {"selection": "last"},
    }  # fmt: skip


def decoded(folder: Path, short: int) -> list[np.ndarray]:
    """Frames uint8 [3, h, w] in order."""
    images = [read_image(item.source, item.name) for item in open_data(f"frames:{folder}").items]
    width, height = images[0].size
    size = (round(width * short / min(width, height)), round(height * short / min(width, height)))
    return [np.array(image.resize(size)).transpose(2, 0, 1) for image in images]


def translated(predictor: Predictor, film: list[np.ndarray]) -> list[np.ndarray]:
    images = [Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0))) for frame in film]
    return [np.array(answer.image).transpose(2, 0, 1) for answer in predictor.answers(images)]


def show(
    name: str, film: list[np.ndarray], made: list[np.ndarray], truth: list[np.ndarray], features: Features
) -> None:  # fmt: skip
    pairs = list(zip(made, truth, strict=True))
    error = warping_error(film, made)
    closeness = np.mean([psnr(*pair) for pair in pairs]), np.mean([ssim(*pair) for pair in pairs])
    distance, interval = kid(features(made), features(truth))
    row = f"{name:34}{error:10.5f}{closeness[0]:7.2f}{closeness[1]:7.3f}{distance:8.3f}{interval:7.3f}"
    print(row, flush=True)


def keep(folder: Path | None, name: str, film: list[np.ndarray]) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        middle = np.ascontiguousarray(film[len(film) // 2].transpose(1, 2, 0))
        Image.fromarray(middle).save(folder / f"{name.replace(', ', '-').replace(' ', '')}.jpg", quality=85)


class Made(Predictor):
    """Answers with what a function makes of a frame."""

    classes: list[str] = []

    def __init__(self, make) -> None:  # noqa: ANN001
        self.make = make

    def answers(self, images: list[Image.Image]) -> list:
        return [TranslatedImage(self.make(image)) for image in images]


def speed(film: Path, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        part, out = Path(folder) / "part.mp4", Path(folder) / "out.mp4"
        size = shortened(film, part, count)
        model = Model(SimpleNamespace(id="made"), Made(lambda image: image))
        pairs = [
            (timed(lambda: copied(part, out), count), timed(lambda: predict_video(model, part, out), count))
            for _ in range(ROUNDS)
        ]
        plain, watched = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        shares = statistics.median(mine / other for other, mine in pairs)
        print(f"{count} frames of {size[0]} x {size[1]}, median of {ROUNDS} rounds in turn")
        print(f"{'plain copy by PyAV':34}{plain:8.1f} frames/s")
        print(f"{'predict, frames as they are':34}{watched:8.1f} frames/s   {shares:.2f} of the copy")
        make, few = generator(), next(frames(part)).image
        rate = timed(lambda: [make(few) for _ in range(ROUNDS)], ROUNDS)
        print(f"{'network of fast-style alone':34}{rate:8.2f} frames/s")


def timed(work, count: int) -> float:  # noqa: ANN001
    """Frames a second of processor time, all threads together: what others do on the machine does not count."""
    begun = time.process_time()
    work()
    return count / (time.process_time() - begun)


def filtered(asked: argparse.Namespace) -> None:
    home = Home.find(asked.home)
    with tempfile.TemporaryDirectory() as folder:
        part, own, other = (Path(folder) / name for name in ("part.mp4", "studio.mp4", "filter.mp4"))
        size = shortened(asked.path, part, asked.frames, sound_of=asked.path)
        print(export_checkpoint(asked.checkpoint, "film-filter", Path(folder) / "filter", home)["note"])
        model = load_checkpoint(asked.checkpoint, home, "cpu")
        rates = [timed(lambda: predict_video(model, part, own), asked.frames)]
        begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        script = Path(folder) / "filter" / "film_filter.py"
        subprocess.run([sys.executable, "-I", str(script), str(part), str(other), "--threads", "1"], check=True)
        rates.append(asked.frames / (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun))
        pairs = zip(frames(own), frames(other), strict=True)
        apart = np.mean([np.abs(np.asarray(a.image, float) - np.asarray(b.image, float)).mean() for a, b in pairs])
        print(f"{asked.frames} frames of {size[0]} x {size[1]}")
        print(f"frames a second: predict {rates[0]:.2f}, the script {rates[1]:.2f}")
        same = sound_of(part) == sound_of(other)
        print(f"mean difference of frames {apart:.2f} of 255; packets of sound {'the same' if same else 'differ'}")


def sound_of(film: Path) -> list[bytes]:
    import av

    with av.open(str(film)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio) if packet.dts is not None]


def shortened(film: Path, out: Path, count: int, sound_of: Path | None = None) -> tuple[int, int]:
    """Writes the first frames; returns their size."""
    with Writer(out, frame_rate(film), sound_of) as writer:
        for frame in frames(film):
            if frame.number == count:
                break
            writer.write(frame.image)
    return frame.image.size


def copied(film: Path, out: Path) -> None:
    """Decoded, to RGB, encoded again, with PyAV alone."""
    import av

    with av.open(str(film)) as given, av.open(str(out), "w") as made:
        source = given.streams.video[0]
        source.thread_type = "AUTO"
        stream = made.add_stream("libx264", rate=source.average_rate)
        stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
        for frame in given.decode(source):
            pixels = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            made.mux(stream.encode(pixels))
        made.mux(stream.encode())


def generator():  # noqa: ANN201
    """The untrained network of fast-style, which costs as much as a trained one."""
    cls = registry.get("translate/fast-style")
    learner = cls(cls.Params())
    learner.setup(LearnerContext(None, []))

    @torch.inference_mode()
    def make(image: Image.Image) -> Image.Image:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        made = learner.stylize(pixels)[0].permute(1, 2, 0)
        return Image.fromarray((made * 255).round().to(torch.uint8).numpy())

    return make


if __name__ == "__main__":
    main()

"""Methods for films: clips as batches, their losses written out, and runs from frames to a film."""

import numpy as np
import pytest
import torch
from inline_runs import work
from PIL import Image
from small_translations import SMALL, changed

from adapters.translate.data.decoded import Looks
from adapters.translate.films.clips import ClipBatches, clips_of, films_of
from adapters.translate.films.next_frame import NextFrame
from adapters.translate.i2v_gan import I2vGan, I2vGanParams
from adapters.translate.recycle_gan import RecycleGan, RecycleGanParams
from adapters.translate.task import TranslateTrain
from studio.core.errors import DataError
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step, StreamBatches
from studio.data import open_data
from studio.data.files.video import Writer, frames
from studio.data.items import ArraySource, Dataset, Item
from studio.runs.predict import load_checkpoint
from studio.runs.video import predict_video

NETWORKS = {**SMALL, "predictor_width": 4}


def frame(number: int, dark: bool, side: int = 40) -> np.ndarray:
    """A square that moves over a ramp; the other look is its negative."""
    pixels = np.repeat(np.linspace(60, 160, side)[None, :, None], side, axis=0).repeat(3, axis=2)
    pixels[10:22, 2 * number : 2 * number + 12] = 230
    return (255 - pixels if dark else pixels).astype(np.uint8)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two films of ten frames, `a` and its negative `b`, as folders."""
    root = tmp_path_factory.mktemp("films")
    for name in ("a", "b"):
        (root / name).mkdir()
        for number in range(10):
            Image.fromarray(frame(number, name == "b")).save(root / name / f"{number}.png")
    return root


def dataset(*films: list[int]) -> Dataset:
    items = [
        Item(f"{film}-{number}", -1, ArraySource(frame(number, False)), domain=str(film), frame=number)
        for film, numbers in enumerate(films)
        for number in numbers
    ]
    return Dataset("frames:made", [], items)


def test_clips_are_three_neighbours_of_one_film() -> None:
    made = dataset([0, 1, 2, 3], [0, 1, 3, 4], [5, 6, 7])
    assert clips_of(made) == [[0, 1, 2], [1, 2, 3], [8, 9, 10]]
    assert films_of(made) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    with pytest.raises(DataError, match="no three frames that follow each other"):
        clips_of(dataset([0, 1], [0, 2, 4]))


def test_the_frames_of_a_clip_are_cut_and_mirrored_alike() -> None:
    still = [frame(4, False).transpose(2, 0, 1)] * 6
    batches = ClipBatches(Looks(still, dataset(range(6))), Looks(still, dataset(range(6))), 16, TranslateTrain())
    crops = []
    for step in range(8):
        batch = batches.batch(step).source
        assert batch.images.shape == (1, 3, 16, 16)
        assert torch.equal(batch.images, batch.following) and torch.equal(batch.images, batch.last)
        crops.append(batch.images)
    assert not torch.equal(crops[0], crops[1])


def test_a_network_that_has_learned_nothing_predicts_that_nothing_changes() -> None:
    now = torch.rand(2, 3, 21, 18)
    assert torch.equal(NextFrame(4)(torch.rand(2, 3, 21, 18), now), now)


def clip(seed: int) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    frames_of = [2 * torch.rand(2, 3, 32, 32, generator=draw, dtype=torch.float64) - 1 for _ in range(3)]
    return Batch(images=frames_of[0], following=frames_of[1], last=frames_of[2])


def learner(cls, **params):
    made = cls(cls.Params(**{**NETWORKS, **params}))
    made.setup(LearnerContext(None, [], image_size=32))
    made.module.double()
    return made


def test_recycle_gan_minimises_the_recurrent_and_the_recycle_loss() -> None:
    made = learner(RecycleGan, recurrent=3.0, recycle=7.0)
    net = made.module
    for name in ("predictor", "predictor_back"):
        torch.nn.init.normal_(net[name].last.weight, std=0.1)
    batch = StreamBatches(source=clip(0), target=clip(1))
    losses = {name: loss.detach() for name, loss in made.generate(batch, Step(0, 10)).items()}
    x1, x2, x3 = batch.source.images, batch.source.following, batch.source.last
    recurrent = ((net["predictor"](x1, x2) - x3) ** 2).mean()
    there = net["predictor_back"](net["generator"](x1), net["generator"](x2))
    recycle = ((net["generator_back"](there) - x3) ** 2).mean()
    assert float(losses["recurrent"]) == pytest.approx(3 * float(recurrent.detach()))
    assert float(losses["recycle"]) == pytest.approx(7 * float(recycle.detach()))
    y1, y2, y3 = batch.target.images, batch.target.following, batch.target.last
    back = net["predictor"](net["generator_back"](y1), net["generator_back"](y2))
    returned = ((net["generator"](back) - y3) ** 2).mean()
    assert float(losses["recycle_back"]) == pytest.approx(7 * float(returned.detach()))
    assert not {"cycle", "identity", "temporal"} & losses.keys()


def test_i2v_gan_turns_contrasts_across_frames_as_the_film_does() -> None:
    torch.manual_seed(0)
    made = learner(I2vGan, across=2.0, contrast=0.5, temporal=1.0, patches=16)
    batch = StreamBatches(source=clip(0), target=clip(1))
    losses = made.generate(batch, Step(0, 10))
    assert {"contrast", "contrast_back", "across", "across_back", "cycle", "temporal"} <= losses.keys()
    assert all(torch.isfinite(loss) for loss in losses.values())
    alone = [(net(part.images) - part.images).abs().mean() for net, part in (
        (made.module["generator"], batch.target), (made.module["generator_back"], batch.source)
    )]  # fmt: skip
    assert float(losses["identity"].detach()) == pytest.approx(10 * 0.5 * float(sum(alone).detach()))
    first, second, third = (torch.nn.functional.normalize(torch.randn(1, 5, 8).double(), dim=-1) for _ in range(3))
    ratio = made._ratios([[first], [second], [third]])[0]
    temperature = made.params.temperature
    for place in range(5):
        contrasts = []
        for query, key in ((first, second), (second, third)):
            logits = (query[0, place] * key[0]).sum(-1) / temperature
            contrasts.append(float(torch.logsumexp(logits, 0) - logits[place]))
        assert float(ratio[0, place]) == pytest.approx(contrasts[0] / contrasts[1])


@pytest.mark.parametrize(
    ("method", "params"), [("recycle-gan", {"temporal": 1.0}), ("i2v-gan", {"patches": 8})]
)  # fmt: skip
def test_a_film_is_learned_and_translated(method, params, films, home, tmp_path) -> None:
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    data = {"source": f"frames:{films / 'a'}", "target": f"frames:{films / 'b'}"}
    values = changed(method=f"translate/{method}", data=data, train={"epochs": 1, "max_steps": 2})
    values["params"] = {**NETWORKS, **params}
    run, result = work(values, home)
    assert result.status == "finished", result.error
    notes = " ".join(str(event) for event in run.events() if event["kind"] == "note")
    assert "the last 2 of 10 frames" in notes
    pytest.importorskip("skimage")
    assert result.metrics["warping_error"] >= 0 and result.metrics["warping_error_of_input"] < 0.01
    with Writer(tmp_path / "film.mp4", 10) as writer:
        for number in range(6):
            writer.write(Image.fromarray(frame(number, False)))
    model = load_checkpoint(result.checkpoint, home, "cpu", {"steady": 0.8})
    rows = predict_video(model, tmp_path / "film.mp4", tmp_path / "out.mp4")
    assert len(rows) == 6 and len(list(frames(tmp_path / "out.mp4"))) == 6


def test_images_that_are_no_film_are_refused_in_a_sentence(home) -> None:
    data = {f"{side}": "builtin:scenes?images=8&size=64&classes=2" for side in ("source", "target")}
    values = changed(method="translate/recycle-gan", data=data)
    values["params"] = NETWORKS
    _, result = work(values, home)
    assert result.status == "failed" and "frames:FOLDER" in result.error
    assert open_data(data["source"]).items[0].frame is None


def test_params_have_the_papers_weights() -> None:
    assert (RecycleGanParams().recurrent, RecycleGanParams().recycle, RecycleGanParams().cycle) == (10, 10, 0)
    assert (I2vGanParams().contrast, I2vGanParams().across) == (0.1, 40)

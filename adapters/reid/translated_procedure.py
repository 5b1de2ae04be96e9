"""How SPGAN is run: direct transfer is scored, both places teach a translation, the translated source is learned."""

from typing import Any

import numpy as np
import torch
from PIL import Image

from adapters.reid.baseline import Baseline, BaselineParams
from adapters.reid.data.batches import IdentityBatches
from adapters.reid.data.places import PlaceBatches
from adapters.reid.data.trials import Trial
from adapters.reid.procedure import Learned, Recognition, camera_ids, fit, judge_of, labelled, set_up
from adapters.reid.run.trial_runs import run_trials, score_trial
from adapters.reid.spgan import Spgan, SpganParams
from adapters.reid.translation import SimilarityGan, SimilarityParams
from adapters.translate.data.batches import to_bytes, to_signed
from adapters.translate.task import TranslateTrain
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.procedure import Job, Outcome
from studio.core.registry import procedure
from studio.engine.decoded import Decoded, decode_split
from studio.engine.loop import Loop
from studio.figures import grid_figure
from studio.store.state import load_state, save_state

BATCH = 16  # images that are translated together
SHOWN = 8  # of them, beside what they were


@procedure
class TranslatedProcedure(Recognition):
    """Runs `reid/spgan`; a checkpoint is that of any trained embedding."""

    face = Spgan

    def run(self, job: Job) -> Outcome:
        return run_trials(job, lambda trial, name: learn_translated(job, trial, name))


def learn_translated(job: Job, trial: Trial, name: str = "") -> Learned:
    """Learns the source as it is, which is the score `before`, then as the target would have seen it."""
    learned = set_up(job, trial)
    if job.recipe.train.epochs == 0:
        return learned
    source = labelled(decode_split(job, trial.train, learned.session.preprocess, "the source"))  # type: ignore[arg-type]
    direct = set_up(job, trial, Baseline(BaselineParams(**_shared(job.method.params, BaselineParams))))
    _learn(job, trial, direct, source, f"{name} direct".strip())
    learned.before, learned.began = score_trial(job, direct, trial), "source"
    target = decode_split(job, trial.target, learned.session.preprocess, "the target")  # type: ignore[arg-type]
    generator = learn_translation(job, source.pixels, target.pixels, f"{name} translation".strip())
    pixels = translated(generator, source.pixels, job.device)
    _show(job, source.pixels, pixels, f"translated {name}".strip())
    _learn(job, trial, learned, Decoded(pixels, source.dataset), name)
    return learned


def learn_translation(job: Job, source: np.ndarray, target: np.ndarray, name: str) -> SimilarityGan:
    """The translation from source to target, of pixels uint8 [N, 3, H, W]; kept in the resume state when done.

    Raises UsageError where the input's sides are no multiples of what the generator needs.
    """
    params: SpganParams = job.method.params  # type: ignore[assignment]
    height, width = source.shape[-2:]
    seed = job.recipe.train.seed
    learner = SimilarityGan(
        SimilarityParams(
            width=params.translator_width, discriminator_width=params.translator_width, layers=2, pool=0,
            similarity=params.similarity, margin=params.similarity_margin,
        )
    )  # fmt: skip
    learner.setup(LearnerContext(None, [], seed, height))
    if width % learner.stride:
        raise UsageError(
            f"model.image_size: the input is {height} x {width} pixels; the translation needs multiples of "
            f"{learner.stride}."
        )
    learner.module.to(job.device)
    done = job.folder / "state" / f"{name} done"
    if job.resume and (state := load_state(done)) is not None:
        learner.load_state(state)
        return learner
    batches = PlaceBatches(source, target, params.translator_batch, seed)
    settings = TranslateTrain(epochs=params.translator_epochs, batch_size=params.translator_batch, seed=seed)
    Loop(learner, batches, settings, job, lambda: {"score": 0.0}, name).run()
    save_state(done, {key: tensor.cpu() for key, tensor in learner.state().items()})
    return learner


def translated(learner: SimilarityGan, pixels: np.ndarray, device: str) -> np.ndarray:
    """Images uint8 [N, 3, H, W] in the other look."""
    learner.train_mode(False)
    out = np.empty_like(pixels)
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            part = torch.from_numpy(np.ascontiguousarray(pixels[start : start + BATCH])).to(device)
            out[start : start + BATCH] = to_bytes(learner.predict(to_signed(part))).cpu().numpy()
    return out


def _learn(job: Job, trial: Trial, learned: Learned, split: Decoded, name: str) -> None:
    """The strong baseline on decoded individuals."""
    preprocess, labels = learned.session.preprocess, split.dataset.labels
    cameras = camera_ids(split.dataset, learned.cameras) if learned.cameras else None
    batches = IdentityBatches(split.pixels, labels, preprocess, job.recipe.train, cameras)
    fit(job, learned, batches, judge_of(job, learned, trial), name)


def _shared(params: Any, kind: type) -> dict[str, Any]:
    return {key: getattr(params, key) for key in kind.model_fields}  # type: ignore[attr-defined]


def _show(job: Job, before: np.ndarray, after: np.ndarray, name: str) -> None:
    rows = np.unique(np.linspace(0, len(before) - 1, SHOWN).round().astype(int))
    sides = {"the source": before, "as the target would have it": after}
    images = [Image.fromarray(pixels[row].transpose(1, 2, 0)) for pixels in sides.values() for row in rows]
    captions = [caption for caption in sides for _ in rows]
    job.figure(name, grid_figure(images, captions, columns=len(rows), tile=1.1))

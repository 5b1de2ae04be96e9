"""How a meta-trained method is run: decode once, train on tasks in the one loop, score on unseen classes, teach."""

from typing import Any

import numpy as np
import torch

from fewshot.calibrate import Calibration
from fewshot.episode_files import read_episodes
from fewshot.meta.base import MetaLearner
from fewshot.meta.predictor import LearnedBackbone, gather_support
from fewshot.meta.scoring import score
from fewshot.meta.tasks import TRAIN, TURNS, VAL, Pool, TaskBatches, one_channel
from fewshot.predictor import SupportPredictor
from fewshot.report import metrics_of, show, tell_expected
from fewshot.support import SupportSet
from fewshot.teach import TaughtProcedure, keep
from studio.core import registry
from studio.core.errors import DataError, StudioError, UsageError
from studio.core.faces import EpisodeHead
from studio.core.home import Home
from studio.core.procedure import Job, Outcome
from studio.core.registry import procedure
from studio.data.items import Dataset, FileSource, Item
from studio.data.load_split import pixels_of
from studio.data.splits import Splits, resolve_class_splits
from studio.engine.loop import Loop
from studio.engine.manifest import manifest_of
from studio.engine.session import restore, setup
from studio.store import Checkpoint, Store

CROP_MARGIN = 1.15  # images that are cropped are kept a little larger than the input


@procedure
class MetaTraining(TaughtProcedure):
    """Runs, restores and teaches every MetaLearner of task classify."""

    task = "classify"
    face = MetaLearner

    def run(self, job: Job) -> Outcome:
        recipe, learner = job.recipe, job.method
        if recipe.eval.episodes_file is not None:
            return Outcome(score_fixed(job))
        splits = resolve_class_splits(recipe.data, recipe.train.seed, job.home)
        job.events.note(splits.note)
        backbone, going_on = start(job)
        setup(job, learner, backbone, [], ways=recipe.eval.ways)
        if going_on is not None:
            learner.load_state(network_tensors(going_on))
        learner.module.to(job.device)
        pools = decoded(job, splits, backbone)
        test = pools.get("test", pools["val"])
        asked = recipe.eval
        source = test.sampler(asked.ways, asked.shots, asked.queries, asked.episodes, recipe.train.seed)

        history = train(job, learner, pools, backbone) if recipe.train.epochs > 0 else []
        learner.finalize(job, pools)
        result = score(
            learner, test, source, job.device,
            progress=lambda done, total: job.events.progress("episodes", done, total), should_stop=job.should_stop,
        )  # fmt: skip
        show(job, result, test.classes, learner.title)
        metrics = {
            **metrics_of(result),
            "selection": asked.selection,
            "scored_on": f"episodes of {len(test.classes)} unseen classes ({'test' if 'test' in pools else 'val'})",
            **learner.extra_metrics(),
        }
        if history:
            metrics["best_epoch"] = max(history, key=lambda entry: entry["score"])["epoch"]
        checkpoint = leave(job, learner, backbone, pools, metrics)
        tell_expected(job, checkpoint.manifest.metrics)
        return Outcome(checkpoint.manifest.metrics, checkpoint.id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Store) -> SupportPredictor:
        manifest = checkpoint.manifest
        session = restore(checkpoint, device, home, network_tensors(checkpoint), ways=manifest.extra["ways"])
        learner = session.learner
        learner.module.requires_grad_(False)
        learner.train_mode(False)
        calibration = Calibration(manifest.extra["temperature"], manifest.extra["unknown_below"])
        support = SupportSet.load(checkpoint)
        return SupportPredictor(learner.head(), support, calibration, LearnedBackbone(learner), device)

    def network_of(self, checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
        return network_tensors(checkpoint)

    def head_to_teach(self, checkpoint: Checkpoint, predictor: SupportPredictor) -> EpisodeHead:
        return predictor.head


def score_fixed(job: Job) -> dict[str, Any]:
    """The metrics of model.checkpoint on the episodes of eval.episodes_file.

    Raises UsageError where something would be trained, or where the method learned another number of ways.
    """
    recipe, learner = job.recipe, job.method
    if recipe.train.epochs > 0 or recipe.model.checkpoint is None:
        raise UsageError(
            f"eval.episodes_file: {recipe.method} draws its own episodes while it is trained. To score fixed ones, "
            "train first, then run again with train.epochs: 0 and model.checkpoint."
        )
    backbone, checkpoint = start(job)
    ways = checkpoint.manifest.extra["ways"]
    setup(job, learner, backbone, [], training=False, ways=ways)
    learner.load_state(network_tensors(checkpoint))
    learner.recall(checkpoint.manifest.metrics)
    learner.module.to(job.device)
    source = read_episodes(recipe.eval.episodes_file, job.rights)
    other = source.ways - {ways}
    if learner.fixed_ways and other:
        raise UsageError(
            f"eval.episodes_file: found episodes of {min(other)} ways; {checkpoint.id} has learned a classifier for "
            f"{ways}. Train one with eval.ways: {min(other)}."
        )
    items = [Item(str(path), -1, FileSource(path)) for path in source.paths]
    dataset = Dataset(f"eval.episodes_file: {recipe.eval.episodes_file}", source.classes, items)
    pixels, kept = pixels_of(job, dataset, backbone.preprocess, "the episodes")
    if len(kept) < len(items):
        raise DataError(f"{dataset.spec}: {len(items) - len(kept)} images can't be read; mend the file.")
    result = score(
        learner, Pool(one_channel(torch.from_numpy(pixels)), kept), source, job.device,
        progress=lambda done, total: job.events.progress("episodes", done, total), should_stop=job.should_stop,
    )  # fmt: skip
    show(job, result, source.classes, learner.title)
    return {**metrics_of(result), "scored_on": "the episodes of a file"}


def start(job: Job) -> tuple[Any, Checkpoint | None]:
    """The backbone to start from, and the checkpoint to go on from where its method is the same."""
    model = job.recipe.model
    if model.checkpoint is None:
        if job.recipe.train.epochs == 0:
            job.events.note("train.epochs is 0: the backbone is scored as it is, without meta-training.")
        return registry.backbone(model.backbone, home=job.home, image_size=model.image_size), None
    checkpoint = job.store.checkpoint(model.checkpoint)
    same = checkpoint.manifest.method == job.recipe.method
    if job.recipe.train.epochs == 0 and not same:
        raise UsageError(
            f"model.checkpoint: {checkpoint.id} was made by {checkpoint.manifest.method}; with train.epochs: 0 only "
            f"one of {job.recipe.method} can be scored."
        )
    described = checkpoint.manifest.backbone
    spec = described["spec"] if same else f"store/{checkpoint.id}"
    job.events.note(f"Starts from checkpoint {checkpoint.id}{'.' if same else ': its backbone.'}")
    size = described["image_size"] if same else model.image_size
    return registry.backbone(spec, home=job.home, image_size=size), checkpoint if same else None


def decoded(job: Job, splits: Splits, backbone: Any) -> dict[str, Pool]:
    """The pools of train, val and, where there is one, test."""
    params, pools = job.method.params, {}
    for name, dataset in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        if dataset is not None:
            margin = CROP_MARGIN if name == "train" and params.crops else 1.0
            pixels, kept = pixels_of(job, dataset, backbone.preprocess, name, margin)
            turned = params.rotations == "all" or (params.rotations == "train" and name == "train")
            pools[name] = Pool(one_channel(torch.from_numpy(pixels)), kept, TURNS if turned else 1)
    return pools


def train(job: Job, learner: MetaLearner, pools: dict[str, Pool], backbone: Any) -> list[dict[str, float]]:
    """Meta-trains in the one loop, and leaves the weights of the best epoch in the learner."""
    recipe, params = job.recipe, learner.params
    settings, asked = recipe.train, recipe.eval
    ways = params.train_ways or asked.ways
    if learner.fixed_ways and ways != asked.ways:
        raise UsageError(
            f"params.train_ways: found {ways}, and eval.ways is {asked.ways}; {learner.id} learns a classifier for "
            "one number of ways, so both must be the same."
        )
    if len(pools["train"].classes) < ways:
        raise UsageError(
            f"params.train_ways: found {ways}, but there are {len(pools['train'].classes)} classes to train on "
            f"({'its default is eval.ways' if params.train_ways is None else 'the others are held out'})."
        )
    sampler = pools["train"].sampler(
        ways, asked.shots, params.train_queries or asked.queries, 1, settings.seed, TRAIN
    )  # fmt: skip
    val_ways = min(asked.ways, len(pools["val"].classes))
    if val_ways < asked.ways and learner.fixed_ways:
        val_ways = asked.ways  # the sampler says what is missing
    if val_ways < asked.ways:
        job.events.note(f"There are {val_ways} held-out classes, so epochs are judged by {val_ways}-way episodes.")
    val = pools["val"].sampler(val_ways, asked.shots, asked.queries, params.val_episodes, settings.seed, VAL)
    batches = TaskBatches(
        pools["train"], sampler, learner.preprocess, params.tasks, params.steps_per_epoch, params.crops
    )

    def judge() -> dict[str, float]:
        mean, half = score(learner, pools["val"], val, job.device).interval
        return {"accuracy": mean, "accuracy_ci95": half, "score": mean}

    if not job.resume:
        learner.start()
    loop = Loop(learner, batches, recipe.train, job, judge)
    try:
        progress = loop.run()
    except StudioError:
        best = loop.progress.best
        if best is not None and not job.should_stop():
            learner.load_state(best)
            kept = leave(job, learner, backbone, pools, {"accuracy": loop.progress.best_score})
            job.events.emit("checkpoint", checkpoint=kept.id, role="last-good")
        raise
    if progress.best is not None and recipe.eval.selection != "last":
        learner.load_state(progress.best)
    job.figure("curves", accuracy_figure(progress.history))
    return progress.history


def accuracy_figure(history: list[dict[str, float]]) -> Any:
    """Accuracy on held-out classes by epoch, with its interval."""
    from studio.figures.style import COLOURS, figure

    made = figure(5.2, 3.2)
    axes = made.add_subplot()
    epochs, means, halves = (np.array([entry[k] for entry in history]) for k in ("epoch", "accuracy", "accuracy_ci95"))
    axes.errorbar(epochs, means, halves, fmt="o-", color=COLOURS[0], markersize=3, elinewidth=1, capsize=2)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epoch", ylabel="accuracy on held-out classes")
    axes.grid(alpha=0.25)
    return made


def leave(job: Job, learner: MetaLearner, backbone: Any, pools: dict[str, Pool], metrics: dict[str, Any]) -> Checkpoint:
    """A checkpoint of the network, taught with photos of the test classes, else of train's and val's."""
    taught_by = [pools["test"]] if "test" in pools else [pools["train"], pools["val"]]
    support = gather_support(learner, taught_by, job.device)
    job.events.note(
        f"The checkpoint is taught with {len(support)} photos of {len(support.classes)} classes and predicts among "
        f"them by {learner.head().title}; more can be taught."
    )
    learned = [] if "test" in pools else pools["train"].classes
    extra = {"ways": job.recipe.eval.ways, "learned": learned}
    manifest = manifest_of(job, [], metrics, backbone, extra=extra)
    return keep(job.store, manifest, learner.head(), support, learner.state())


def network_tensors(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """The tensors of the network, without those of the support set."""
    return {name: tensor for name, tensor in checkpoint.tensors().items() if not name.startswith("support.")}

"""How an alignment runs: features of both domains, fit without target labels, scores beside their baselines."""

from typing import Any

import numpy as np
from PIL import Image

from adapters.align.base import Aligner, FewLabels
from adapters.align.classifiers import make_classifier
from adapters.align.domains import Pair, Revealed, TargetTruth, backbone_for, open_domain, pair_of, reveal
from adapters.align.fallback import compare, prefers_source_only, source_only, tell_of_kept
from adapters.align.none import NoAlignment
from adapters.align.normalize import NORMALIZERS
from adapters.align.selection import SCORES, best, settings
from studio.core import registry
from studio.core.errors import DataError, StoppedByUser, UsageError
from studio.core.faces import Estimator
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import Params, procedure
from studio.data.domains import require_domains
from studio.data.features.cache import embed_images
from studio.engine.manifest import manifest_of
from studio.figures import tsne_figure
from studio.store import Checkpoint

SMALL = 8_000_000  # feature values of both domains


@procedure
class Align(Procedure):
    """Runs and restores every Estimator of task align."""

    task = "align"
    face = Estimator

    def run(self, job: Job) -> Outcome:
        data, seed = job.recipe.data, job.recipe.train.seed
        require_domains(data.source, data.target, "an alignment")
        backbone = backbone_for(job, [data.source, data.target])
        source = open_domain(job, data.source, source_backbone(job) or backbone, "data.source")
        target = open_domain(job, data.target, backbone, "data.target")
        pair, truth = pair_of(source, target)
        if pair.note:
            job.events.warning(pair.note)
        revealed = _revealed(job.method, pair, truth, seed)
        with threads_for(pair):
            params, rule = _choose(job, pair, truth, revealed)
            method = fitted(type(job.method), params, pair, revealed)
            if method.note:
                job.events.note(method.note)
            plain = source_only(method, pair)
            metrics = scores(method, plain, pair, truth, revealed, seed)
            metrics["selection"] = rule
            kept = _keep(job, method, plain, pair, metrics)
            _show(job, method, pair, truth, metrics, seed)
        about = {**metrics, "target_accuracy": metrics["kept_accuracy"]}  # a checkpoint's number is its own
        manifest = manifest_of(job, pair.classes, about, backbone if target.images else None, kept.params)
        manifest = manifest.model_copy(update={"method": kept.id, "title": kept.title})
        return Outcome(metrics, job.store.put(manifest, kept.state()).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        """Raises DataError for a checkpoint that was learned from feature vectors: it can't see images."""
        manifest = checkpoint.manifest
        estimator = restored(checkpoint)
        if not manifest.backbone:
            raise DataError(
                f"{checkpoint.id} was learned from feature vectors; it predicts those, not images. "
                "Run the alignment on images (folder:..., zip:...) to get one that does."
            )
        backbone = registry.backbone(manifest.backbone["spec"], home=home, image_size=manifest.backbone["image_size"])
        return AlignedPredictor(estimator, backbone.to(device), manifest.classes, device)


def source_backbone(job: Job) -> Any:
    """The backbone of the source's images where the method names one of its own; None otherwise."""
    name = getattr(job.method.params, "source_backbone", "")
    return (
        registry.backbone(name, home=job.home, image_size=job.recipe.model.image_size).to(job.device) if name else None
    )


class AlignedPredictor(Predictor):
    """A frozen backbone, the target's normalisation and projection, and the classifier."""

    def __init__(self, estimator: Aligner, backbone: Any, classes: list[str], device: str) -> None:
        self.estimator, self.backbone, self.classes, self.device = estimator, backbone, classes, device
        self.min_side = backbone.preprocess.image_size

    def scores(self, images: list[Image.Image]) -> np.ndarray:
        return self.estimator.predict_proba(embed_images(images, self.backbone, self.device))


def threads_for(pair: Pair) -> Any:
    """One thread for small problems, where threads wait for each other longer than they work; all for large ones."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1 if pair.xs.size + pair.xt.size < SMALL else None)


def restored(checkpoint: Checkpoint) -> Aligner:
    """The estimator that a checkpoint holds."""
    cls = registry.get(checkpoint.manifest.method)
    estimator = cls(cls.Params(**checkpoint.manifest.params))
    estimator.load_state({name: np.asarray(tensor) for name, tensor in checkpoint.tensors().items()})
    return estimator


def fitted(cls: type[Aligner], params: Params, pair: Pair, revealed: Revealed | None = None) -> Aligner:
    """A method fitted on a pair, which has no target labels; `revealed` are those that a FewLabels method is told."""
    method = cls(params)
    if isinstance(method, FewLabels):
        assert revealed is not None  # drawn for every method of this kind
        return method.fit(pair.xs, pair.ys, pair.xt, revealed.rows, revealed.labels, pair.sample_domain)
    return method.fit(pair.xs, pair.ys, pair.xt, pair.sample_domain)


def scores(
    method: Aligner, plain: NoAlignment | None, pair: Pair, truth: TargetTruth, revealed: Revealed | None, seed: int
) -> dict[str, float | int | str | None]:
    """Target accuracy beside its two baselines, on the labelled target rows that were not revealed."""
    rows = truth.scored(revealed)
    if not rows.any():
        return {"target_accuracy": None, "source_only_accuracy": None}
    x = pair.xt[rows]
    metrics: dict[str, float | int | str | None] = {
        "target_accuracy": truth.accuracy(method.predict(x), rows),
        "source_only_accuracy": None if plain is None else truth.accuracy(plain.predict(x), rows),
        "target_supervised_accuracy": target_supervised(method, pair, truth, seed),
        "scored_on": int(rows.sum()),
    }
    if revealed is not None:
        metrics["target_labels_used"] = len(revealed.rows)
    return metrics


def target_supervised(method: Aligner, pair: Pair, truth: TargetTruth, seed: int) -> float | None:
    """The bound: the same classifier taught with target labels, each half scored by the other's."""
    labelled = np.flatnonzero(truth.scored())
    x, y = pair.xt[labelled], truth.labels[labelled]
    x = NORMALIZERS[method.params.normalize].fit(pair.xt)(x)
    half, rng = np.zeros(len(y), int), np.random.default_rng(seed)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        half[members[::2]] = 1
    right = np.zeros(len(y), bool)
    for part in (0, 1):
        if len(np.unique(y[half != part])) < 2 or not (half == part).any():
            return None
        model = make_classifier(method.params.classifier).fit(x[half != part], y[half != part], len(pair.classes))
        right[half == part] = model.predict_proba(x[half == part]).argmax(axis=1) == y[half == part]
    return float(right.mean())


def _revealed(method: Any, pair: Pair, truth: TargetTruth, seed: int) -> Revealed | None:
    if not isinstance(method, FewLabels):
        return None
    return reveal(truth, method.params.labelled_per_class, pair.classes, seed)


def _choose(job: Job, pair: Pair, truth: TargetTruth, revealed: Revealed | None) -> tuple[Params, str]:
    """The parameters to use, and the rule by which they were found, in words."""
    cls, params, seed = type(job.method), job.method.params, job.recipe.train.seed
    if not params.choose:
        return params, "none (parameters as given)"
    if issubclass(cls, FewLabels):
        raise UsageError(f"params.choose: {cls.id} is told target labels; label-free scores are not for it.")
    candidates = settings(params.choose, params)

    def score(candidate: Params) -> float:
        if job.should_stop():
            raise StoppedByUser("Stopped while choosing parameters.")
        if job.recipe.eval.selection == "oracle":
            model = fitted(cls, candidate, pair, revealed)
            return scores(model, None, pair, truth, revealed, seed)["target_accuracy"]
        return SCORES[params.score](lambda xs, ys, xt: cls(candidate).fit(xs, ys, xt), pair.xs, pair.ys, pair.xt, seed)

    chosen, values = best(candidates, score, lambda done, total: job.events.progress("settings", done, total))
    rule = "oracle (target labels)" if job.recipe.eval.selection == "oracle" else f"label-free: {params.score}"
    names = [name for name in type(params).model_fields if len({str(getattr(c, name)) for c in candidates}) > 1]
    rows = [[*(getattr(c, name) for name in names), round(v, 4)] for c, v in zip(candidates, values, strict=True)]
    job.table("settings", [*names, rule], rows)
    return chosen, f"{rule} over {len(candidates)} settings"


def _keep(job: Job, method: Aligner, plain: NoAlignment | None, pair: Pair, metrics: dict[str, Any]) -> Aligner:
    """What the checkpoint holds; says why, and warns where alignment is likely to harm, or does on target labels."""
    kept = method
    if plain is not None and not isinstance(method, (FewLabels, NoAlignment)):
        comparison = compare(method, plain, pair, method.params.score, job.recipe.train.seed)
        kept = plain if prefers_source_only(job, comparison, method.title, metrics) else method
    tell_of_kept(job, method.title, kept is plain or isinstance(kept, NoAlignment), metrics)
    return kept


def _show(
    job: Job, method: Aligner, pair: Pair, truth: TargetTruth, metrics: dict[str, Any], seed: int
) -> None:  # fmt: skip
    names = {
        "source only": "source_only_accuracy",
        method.title: "target_accuracy",
        "target labels (bound)": "target_supervised_accuracy",
    }
    rows = [[name, None if metrics.get(key) is None else round(metrics[key], 4)] for name, key in names.items()]
    job.table("accuracy on the target", ["what", "accuracy"], rows)
    if "label_free_score" in metrics:
        by_name = {"source only": metrics["source_only_label_free_score"], "method": metrics["label_free_score"]}
        rows = [[name, round(value, 4), "kept" if name == metrics["kept"] else ""] for name, value in by_name.items()]
        job.table(f"kept, beside the label-free score {method.params.score}", ["what", "score", "kept"], rows)
    if pair.xs.shape[1] == pair.xt.shape[1]:
        job.figure("before-and-after", before_and_after(method, pair, truth, seed))


def before_and_after(method: Aligner, pair: Pair, truth: TargetTruth, seed: int, most: int = 1000) -> Any:
    """t-SNE of both domains as normalised features and as aligned ones."""
    rng = np.random.default_rng(seed)
    s = np.sort(rng.permutation(len(pair.xs))[:most])
    t = np.sort(rng.permutation(len(pair.xt))[:most])
    before = np.concatenate([method.source_norm(pair.xs[s]), method.target_norm(pair.xt[t])])
    aligned = getattr(method, "aligned_source", None)
    source = aligned[s] if aligned is not None and len(aligned) == len(pair.xs) else method.embed(pair.xs[s], "source")
    target = method.embed(pair.xt[t])
    sets = {"before": before}
    if source.shape[1] == target.shape[1]:
        sets["after"] = np.concatenate([source, target])
    return tsne_figure(
        sets,
        np.concatenate([pair.ys[s], truth.labels[t]]),
        pair.classes,
        ["source"] * len(s) + ["target"] * len(t),
        seed,
    )

"""What a support set says about itself when photos are left out: how sure to be, and what is unknown.

Temperature: each photo is scored by the others, and the scores are divided by the temperature that makes these
answers likeliest. Unknown: each photo's familiarity without itself, beside its familiarity when its whole class is
left out; the threshold parts the two best.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fewshot.evaluate import Pools
from fewshot.heads.common import EpisodeGram, GramHead
from fewshot.support import SupportSet
from studio.core.faces import EpisodeHead, Episodes

#: up to this many photos each is left out alone; of more, a sixteenth at a time
ALONE = 64
FOLDS = 16
MEMORY_MB = 256
#: photos whose familiarity is looked at
MOST_LOOKED_AT = 512
#: a known photo may be called unknown this often at most, as far as the support set can tell
MOST_REJECTED = 0.1


@dataclass(frozen=True)
class Calibration:
    """temperature divides the scores; a photo less familiar than `unknown_below` (None: can't be told) is unknown."""

    temperature: float = 1.0
    unknown_below: float | None = None


def calibrate(head: EpisodeHead, support: SupportSet) -> Calibration:
    """Calibrates on the support set alone. `head` must score image by image."""
    features, labels = torch.from_numpy(support.features), torch.from_numpy(support.labels)
    scores, truth = left_out_scores(head, features, labels, len(support.classes))
    temperature = fit_temperature(scores, truth) if len(truth) else 1.0
    return Calibration(temperature, unknown_threshold(features, labels, len(support.classes)))


def left_out_scores(head: EpisodeHead, features: Tensor, labels: Tensor, ways: int) -> tuple[Tensor, Tensor]:
    """Scores [M, W] of photos by a support without them, and their labels [M].

    Photos that are alone in their class can't be left out and are not among the M. Each fold is an episode whose
    support is the whole set, the left-out photos marked as padding.
    """
    counts = labels.bincount(minlength=ways)
    able = labels.argsort(stable=True)
    able = able[counts[labels[able]] > 1]
    if len(able) == 0:
        return features.new_empty(0, ways), labels[:0]
    folds = len(able) if len(able) <= ALONE else FOLDS
    out = functional.pad(able, (0, -len(able) % folds), value=-1).view(-1, folds).T  # neighbours go different ways
    left = labels.repeat(folds, 1)
    left = left.scatter(1, torch.where(out >= 0, out, out[:, :1]), -1)

    real = out >= 0
    return fold_scores(head, features, left, out, ways)[real], labels[out[real]]


def fold_scores(head: EpisodeHead, features: Tensor, left: Tensor, out: Tensor, ways: int) -> Tensor:
    """Scores [F, n, W] of the photos `out` [F, n] (-1: none) by the others; `left` [F, N] are labels, -1 left out."""
    pools = Pools(features)
    by_gram = isinstance(head, GramHead) and head.most_supports is not None
    photos = left.shape[1]
    step = max(1, int(MEMORY_MB * 2**20 / (24 * photos * (photos if by_gram else features.shape[1]))))
    parts = [
        _scores(head, pools, left[at : at + step], out[at : at + step], ways, by_gram)
        for at in range(0, len(out), step)
    ]
    return torch.cat(parts)


def _scores(head: EpisodeHead, pools: Pools, labels: Tensor, out: Tensor, ways: int, by_gram: bool) -> Tensor:
    """Scores [F, n, W] of the photos `out` [F, n] of each fold; the supports are those whose label is not -1."""
    folds, photos = len(labels), labels.shape[1]
    query = out.clamp(min=0)
    if by_gram:
        support, cross, query_sq = pools.grams
        gram = EpisodeGram(cross[query], support.expand(folds, photos, photos), query_sq[query], labels, ways)
        return head.scores_from_gram(gram)
    support = pools.support.expand(folds, *pools.support.shape)
    return head.scores(Episodes(support, labels, pools.support[query], out >= 0, ways))


def fit_temperature(scores: Tensor, labels: Tensor) -> float:
    """The temperature under which the labels are likeliest (Guo et al. 2017, section 4.2).

    The targets are softened as Platt (1999, section 2.2) does: n right answers show a share of (n + 1) / (n + 2),
    not of 1, so that a support set without mistakes does not make every answer certain.
    """
    scores, rows = scores.double(), torch.arange(len(labels))
    right = (len(labels) + 1) / (len(labels) + 2)
    spread = (scores - scores.mean(1, keepdim=True)).abs().mean().clamp(min=1e-12)
    candidates = spread * torch.logspace(-3, 3, 121, dtype=torch.float64)
    log_p = (scores / candidates.view(-1, 1, 1)).log_softmax(2)  # [121, M, W]
    of_right = log_p[:, rows, labels]
    of_others = (log_p.sum(2) - of_right) / max(scores.shape[1] - 1, 1)
    losses = -(right * of_right + (1 - right) * of_others).mean(1)
    return float(candidates[losses.argmin()])


def familiarity(features: Tensor, means: Tensor) -> Tensor:
    """Cosine [n] to the nearest class mean [W, D], all of them centred on the mean of the class means."""
    center = means.mean(0) if len(means) > 1 else torch.zeros_like(means[0])
    features, means = functional.normalize(features - center, dim=1), functional.normalize(means - center, dim=1)
    return (features @ means.T).amax(1)


def class_means(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """[W, D]."""
    sums = features.new_zeros(ways, features.shape[1]).index_add(0, labels, features)
    return sums / labels.bincount(minlength=ways).unsqueeze(1)


def unknown_threshold(features: Tensor, labels: Tensor, ways: int) -> float | None:
    """The familiarity below which a photo is called unknown; None where every class has one photo."""
    counts = labels.bincount(minlength=ways)
    means = class_means(features, labels, ways)
    chosen = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:MOST_LOOKED_AT]
    known, unknown = [], []
    for number in chosen.tolist():
        label = int(labels[number])
        photo = features[number : number + 1]
        if counts[label] > 1:
            without = means.clone()
            without[label] = (means[label] * counts[label] - photo[0]) / (counts[label] - 1)
            known.append(float(familiarity(photo, without)))
        if ways > 2:
            others = torch.cat([means[:label], means[label + 1 :]])
            unknown.append(float(familiarity(photo, others)))
    if not known:
        return None
    return best_cut(np.array(known), np.array(unknown))


def best_cut(known: np.ndarray, unknown: np.ndarray) -> float:
    """The cut with the highest balanced accuracy among those that reject at most a tenth of the known.

    With nothing unknown to go by (two classes), the cut rejects a twentieth of the known.
    """
    if len(unknown) == 0:
        return float(np.quantile(known, 0.05))
    values = np.unique(np.concatenate([known, unknown]))
    cuts = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2])
    rejected = (known[None] < cuts[:, None]).mean(1)
    caught = (unknown[None] < cuts[:, None]).mean(1)
    return float(cuts[np.where(rejected <= MOST_REJECTED, caught - rejected, -1).argmax()])

"""Steps that heads share: class means, distances, normalisation, inner products.

Padded supports have label -1 and padded queries mask False; everything here keeps them out.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from studio.core.faces import EpisodeHead, Episodes

#: as in SimpleShot (Wang et al. 2019, section 3.2): as they are, to unit length, or centred first
Normalize = Literal["none", "l2", "cl2"]

_TINY = 1e-12


def one_hot(labels: Tensor, ways: int, dtype: torch.dtype) -> Tensor:
    """[T, S] labels to [T, S, W], a row of zeros where padded."""
    return (labels.unsqueeze(-1) == torch.arange(ways, device=labels.device)).to(dtype)


def class_weights(labels: Tensor, ways: int, dtype: torch.dtype) -> Tensor:
    """[T, S, W] that average over each class: a column sums to one."""
    member = one_hot(labels, ways, dtype)
    return member / member.sum(1, keepdim=True).clamp(min=1)


def class_means(episodes: Episodes) -> Tensor:
    """Prototypes [T, W, D] (Snell et al. 2017, eq. 1)."""
    weights = class_weights(episodes.labels, episodes.ways, episodes.support.dtype)
    return weights.transpose(1, 2) @ episodes.support


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared euclidean distances [T, n, m] between rows of a [T, n, D] and b [T, m, D]."""
    products = a @ b.transpose(1, 2)
    return (a.square().sum(-1).unsqueeze(2) + b.square().sum(-1).unsqueeze(1) - 2 * products).clamp(min=0)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarities [T, n, m]; zero where a vector is zero."""
    return functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).transpose(1, 2)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the middle axis of x [T, n, D] where mask [T, n] holds: [T, 1, D]."""
    weights = mask.to(x.dtype)
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1)
    return weights.unsqueeze(1) @ x


def normalized(episodes: Episodes, how: Normalize, with_queries: bool = False) -> Episodes:
    """Every feature to unit length (`l2`), after taking off a mean (`cl2`).

    SimpleShot takes the mean of the base classes; on frozen features there are none at hand, so the mean is that
    of the episode's support, or, for a transductive head (`with_queries`), of its support and queries.
    """
    if how == "none":
        return episodes
    support, query = episodes.support, episodes.query
    if how == "cl2":
        seen, mask = support, episodes.labels >= 0
        if with_queries:
            seen, mask = torch.cat([support, query], 1), torch.cat([mask, episodes.query_mask], 1)
        center = masked_mean(seen, mask)
        support, query = support - center, query - center
    return replace(episodes, support=functional.normalize(support, dim=-1), query=functional.normalize(query, dim=-1))


@dataclass(frozen=True)
class EpisodeGram:
    """The inner products of T episodes: all that some heads need, whatever the width of the features.

    cross [T, Q, S] query by support; support [T, S, S]; query_sq [T, Q] squared lengths; labels [T, S], -1 where
    padded; ways W. From features it is a matrix product; from the Gram matrix of a small data set, a look-up.
    For a head that does not need all pairs of supports, `support` may be empty and `mean_sq` [T, 1, W] be there
    instead: the squared lengths of the class means.
    """

    cross: Tensor
    support: Tensor
    query_sq: Tensor
    labels: Tensor
    ways: int
    mean_sq: Tensor | None = None

    @classmethod
    def of(cls, episodes: Episodes) -> "EpisodeGram":
        support_t = episodes.support.transpose(1, 2)
        return cls(
            cross=episodes.query @ support_t,
            support=episodes.support @ support_t,
            query_sq=episodes.query.square().sum(-1),
            labels=episodes.labels,
            ways=episodes.ways,
        )

    @property
    def support_sq(self) -> Tensor:
        return self.support.diagonal(dim1=1, dim2=2)

    def centered(self) -> "EpisodeGram":
        """The inner products after the mean of the support is taken off every feature."""
        weights = (self.labels >= 0).to(self.cross.dtype)
        weights = (weights / weights.sum(1, keepdim=True).clamp(min=1)).unsqueeze(-1)
        support_mean = self.support @ weights  # [T, S, 1] each support with the mean
        query_mean = self.cross @ weights  # [T, Q, 1]
        mean_sq = weights.transpose(1, 2) @ support_mean  # [T, 1, 1]
        return replace(
            self,
            cross=self.cross - query_mean - support_mean.transpose(1, 2) + mean_sq,
            support=self.support - support_mean - support_mean.transpose(1, 2) + mean_sq,
            query_sq=(self.query_sq - 2 * query_mean.squeeze(-1) + mean_sq.squeeze(-1)).clamp(min=0),
        )

    def normalized(self, how: Normalize) -> "EpisodeGram":
        """The inner products of normalised features, as `normalized` has them."""
        if how == "none":
            return self
        gram = self.centered() if how == "cl2" else self
        query = gram.query_sq.clamp(min=_TINY).rsqrt()
        support = gram.support_sq.clamp(min=_TINY).rsqrt()
        return replace(
            gram,
            cross=gram.cross * query.unsqueeze(2) * support.unsqueeze(1),
            support=gram.support * support.unsqueeze(2) * support.unsqueeze(1),
            query_sq=gram.query_sq * query.square(),
        )

    def to_means(self) -> tuple[Tensor, Tensor]:
        """Inner products of queries with class means [T, Q, W], and the means' squared lengths [T, 1, W]."""
        weights = class_weights(self.labels, self.ways, self.cross.dtype)
        lengths = self.mean_sq
        if lengths is None:
            lengths = (weights * (self.support @ weights)).sum(1, keepdim=True)
        return self.cross @ weights, lengths.clamp(min=0)


class GramHead(EpisodeHead):
    """A head that sees inner products only; `scores_from_gram` is all it has to bring."""

    #: most photos one support set may hold: all pairs of them are looked at; None: it needs no pairs
    most_supports: ClassVar[int | None] = 4096
    #: whether `scores_from_gram` looks at pairs of supports beyond the lengths of class means
    needs_pairs: ClassVar[bool] = True

    def scores_from_gram(self, gram: EpisodeGram) -> Tensor:
        """Scores [T, Q, W] from inner products."""
        raise NotImplementedError

    def scores(self, episodes: Episodes) -> Tensor:
        return self.scores_from_gram(EpisodeGram.of(episodes))


def to_nearest_mean(gram: EpisodeGram, metric: Literal["euclidean", "cosine"]) -> Tensor:
    """Negative squared distances, or cosines, of queries to class means [T, Q, W]."""
    products, lengths = gram.to_means()
    if metric == "euclidean":
        return 2 * products - lengths - gram.query_sq.unsqueeze(-1)
    return products * lengths.clamp(min=_TINY).rsqrt() * gram.query_sq.clamp(min=_TINY).rsqrt().unsqueeze(-1)

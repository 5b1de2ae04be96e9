"""When adapting has gone astray: answers differ from those of the unmoved network more than its errors explain."""

from torch import Tensor

SURPLUS = 8.0  # images; so many beyond what is allowed are no chance


class Disagreement:
    """A cumulative sum, over batches, of the images that the moved and the unmoved network answer differently.

    If the moved network errs on no more images than the unmoved one, they differ on at most twice as many as that errs
    on. How many those are its own confidence says without labels: the sum of 1 - max p (Garg et al. 2022,
    average confidence). That answers which flip while entropy is minimised tell how much is wrong is in Press et al.
    2024. Of n images min(2 sum(1 - max p), `most` n) may differ; what is more adds up as in Page 1954:
    S <- max(0, S + differing - allowed). So S grows from the first batch of a collapse on and falls back in calm, and
    streams of few classes are no matter, since the unmoved network is asked about the same batches.
    """

    def __init__(self, most: float) -> None:
        self.most, self.surplus = most, 0.0

    def too_much(self, logits: Tensor, unmoved: Tensor) -> bool:
        """Whether it has become too much with a batch's logits [B, C] of the moved and of the unmoved network."""
        probabilities = unmoved.float().softmax(dim=1)
        agreeing = (logits.argmax(dim=1) == unmoved.argmax(dim=1)) & logits.isfinite().all(dim=1)
        differing = float((~agreeing).sum())
        errors = float((1 - probabilities.amax(dim=1)).sum())
        self.surplus = max(0.0, self.surplus + differing - min(2 * errors, self.most * len(logits)))
        return self.surplus > SURPLUS

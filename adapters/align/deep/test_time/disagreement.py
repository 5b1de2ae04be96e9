"""When adapting has gone astray: answers that the unmoved network holds for wrong more often than it errs itself."""

from torch import Tensor

SURPLUS = 4.0  # images; so many beyond what is allowed are no chance


class Disagreement:
    """A cumulative sum, over batches, of what the answers of a moved network lose in the eyes of the unmoved one.

    With its probabilities p, answers y lose sum(max p - p_y) of the images. That which is its own expected number of
    errors, sum(1 - max p) (average confidence, Garg et al. 2022), may be lost: a network that had mended all of them
    would lose no more. Where answers flip while entropy is minimised, and how sure they had been, tells how much is
    wrong (weighted flips, Press et al. 2024). So of n images min(sum(1 - max p), `most` n) may be lost; what is more
    adds up as in Page 1954: S <- max(0, S + lost - allowed). S grows from the first batch of a collapse on and falls
    back in calm, and streams of few classes are no matter, since the unmoved network is asked about the same batches.
    """

    def __init__(self, most: float) -> None:
        self.most, self.surplus = most, 0.0

    def too_much(self, logits: Tensor, unmoved: Tensor) -> bool:
        """Whether it has become too much with a batch's logits [B, C] of the moved and of the unmoved network."""
        probabilities = unmoved.float().softmax(dim=1)
        surest = probabilities.amax(dim=1)
        lost = surest - probabilities.gather(1, logits.argmax(dim=1, keepdim=True)).squeeze(1)
        lost = lost.where(logits.isfinite().all(dim=1), surest)  # where there is no number there is no answer
        allowed = min(float((1 - surest).sum()), self.most * len(logits))
        self.surplus = max(0.0, self.surplus + float(lost.sum()) - allowed)
        return self.surplus > SURPLUS

"""A penalty that begins small: its weight before and after a share of the training."""

from studio.core.streams import Step


def annealed(weight: float, share: float, at: Step) -> tuple[float, float]:
    """What the risk and the penalty are multiplied with: 1 and at most 1 first, then 1 and `weight` on one scale.

    A weight above 1 divides both, so that the gradient stays as long (Arjovsky et al. 2019, appendix D's training).
    """
    now = min(1.0, weight) if at.progress < share else weight
    scale = max(1.0, now)
    return 1 / scale, now / scale

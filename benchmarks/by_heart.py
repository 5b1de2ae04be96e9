"""Learning a few images by heart: the loop that the benchmarks of detection and segmentation share."""

from collections.abc import Callable
from typing import Any

import torch

from studio.core.phases import warmup_cosine
from studio.core.streams import Step

LOOK_EVERY = 25  # steps


def train(
    learner: Any, batches: Any, steps: int, lr: float, clip: float, learned: Callable[[], bool] = lambda: False
) -> int:
    """Trains for `steps` with AdamW and half a cosine, or until it has `learned`, which is asked every 25 steps.

    Returns the steps that were taken.
    """
    groups = [group for group in learner.param_groups(lr, 0.01) if group["params"]]
    peaks = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups)
    trained = [parameter for group in groups for parameter in group["params"]]
    torch.manual_seed(0)
    for step in range(steps):
        if step and step % LOOK_EVERY == 0 and learned():
            return step
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * warmup_cosine(step, steps, max(1, steps // 10))
        learner.train_mode(True)
        loss = sum(learner.losses(batches.batch(step), Step(step, steps)).values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(trained, clip)
        optimizer.step()
    return steps

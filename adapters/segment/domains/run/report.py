"""What adapting has changed: images with truth, before and after, how unsure each pixel is, and bars of the classes."""

import numpy as np
import torch
from PIL import Image

from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.domains.run.judging import unsure
from adapters.segment.run.judging import Maps, matrices_of
from adapters.segment.run.views import Look
from studio.core.procedure import Job
from studio.data import read_image
from studio.engine.session import Session
from studio.figures import grid_figure, overlay
from studio.figures.masks import class_gains_figure, draw_mask
from studio.metrics.segmentation import per_image_iou, scores_of

SHOWN = 4  # images: those that changed most, for the better and the worse


def show_change(job: Job, session: Session, split: MaskedSplit, before: Maps, now: Maps, look: Look) -> None:
    """Figures `before-and-after` and `gains` of a scored split."""
    classes = split.dataset.classes
    matrices = [matrices_of(split, maps) for maps in (before, now)]
    iou = [scores_of(np.sum(part, axis=0), job.recipe.eval.absent).iou for part in matrices]
    job.figure("gains", class_gains_figure(*iou, classes))
    gains = np.nan_to_num(per_image_iou(matrices[1])) - np.nan_to_num(per_image_iou(matrices[0]))
    order = np.argsort(-gains, kind="stable").tolist()
    images, captions = [], []
    for row in dict.fromkeys([*order[: SHOWN // 2], *order[-(SHOWN // 2) :]]):
        item = split.dataset.items[row]
        image = read_image(item.source, item.name)
        images += [draw_mask(image, maps[row], classes) for maps in (split.maps, before, now)]
        images.append(_unsure_over(image, job, session, split.images[row], look))
        captions += [f"{item.name}: truth", "source only", f"adapted: IoU {gains[row]:+.3f}", "how unsure it is"]
    job.figure("before-and-after", grid_figure(images, captions, columns=4, tile=2.6))


def _unsure_over(image: Image.Image, job: Job, session: Session, pixels: np.ndarray, look: Look) -> Image.Image:
    """The image under its entropy map."""
    stack = torch.from_numpy(np.ascontiguousarray(pixels))[None].to(job.device)
    return overlay(image, unsure(session.learner, stack, session.preprocess, look)[0].cpu().numpy())

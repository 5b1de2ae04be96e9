"""SimOTA: which places learn which box, by what it would cost each of them. Ge et al. 2021, YOLOX, section 2.1."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot
from torchvision.ops import box_iou

RADIUS = 2.5  # strides from the middle of a box within which a place is central
MOST = 10  # best overlaps that say how many places a box is worth
PLACED = 3.0  # weight of the overlap in the cost
FAR = 1e5  # cost of a place that is not both inside the box and central


@torch.no_grad()
def assign(
    boxes: Tensor, logits: Tensor, objectness: Tensor, centres: Tensor, strides: Tensor, truth: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Places, the row of `truth` each learns, and their overlap with it: (places [P], rows [P], IoU [P]).

    For the A places of one image: boxes [A, 4] xyxy, logits [A, C] and objectness [A] as predicted, centres [A, 2]
    and strides [A] in pixels; truth [N, 4] and labels [N].
    """
    inside, central = _near(centres, strides, truth)
    able = (inside | central).any(dim=0).nonzero().squeeze(1)
    if len(truth) == 0 or len(able) == 0:
        none = torch.zeros(0, dtype=torch.int64, device=boxes.device)
        return none, none, torch.zeros(0, device=boxes.device)
    overlaps = box_iou(truth, boxes[able])  # [N, K]
    sure = (logits[able].sigmoid() * objectness[able].sigmoid()[:, None]).sqrt().clamp(1e-6, 1 - 1e-6)
    wanted = one_hot(labels, logits.shape[1]).to(sure.dtype)
    classes = binary_cross_entropy(
        sure[None].expand(len(truth), -1, -1), wanted[:, None].expand(-1, len(able), -1), reduction="none"
    ).sum(-1)
    cost = classes - PLACED * overlaps.clamp(min=1e-8).log() + FAR * ~(inside & central)[:, able]
    taken = _cheapest(cost, overlaps)
    rows, places = taken.nonzero(as_tuple=True)
    return able[places], rows, overlaps[rows, places]


def _near(centres: Tensor, strides: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each of A places lies inside each of N boxes, and near its middle: bool [N, A] twice."""
    low, high = centres[None] - truth[:, None, :2], truth[:, None, 2:] - centres[None]
    inside = (torch.cat([low, high], dim=2) > 0).all(dim=2)
    middle = (truth[:, :2] + truth[:, 2:]) / 2
    away = (centres[None] - middle[:, None]).abs() / strides[None, :, None]
    return inside, (away < RADIUS).all(dim=2)


def _cheapest(cost: Tensor, overlaps: Tensor) -> Tensor:
    """bool [N, K]: each box takes as many of the cheapest places as its best overlaps add up to, at least one.

    A place that several boxes want goes to the one it costs least.
    """
    best = overlaps.topk(min(MOST, overlaps.shape[1]), dim=1).values
    counts = best.sum(dim=1).int().clamp(min=1)
    taken = torch.zeros_like(cost, dtype=torch.bool)
    for row, count in enumerate(counts.tolist()):
        taken[row, cost[row].topk(count, largest=False).indices] = True
    wanted = taken.sum(dim=0) > 1
    cheapest = cost[:, wanted].argmin(dim=0)
    taken[:, wanted] = False
    taken[cheapest, wanted.nonzero().squeeze(1)] = True
    return taken

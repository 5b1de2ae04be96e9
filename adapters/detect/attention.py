"""Where the queries of a detector look: their attention, or what each place of the maps weighs in their score."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from adapters.detect.base import to_detections
from studio.data.boxes import Detections


def where_queries_look(learner: Any, images: Tensor, most: int) -> tuple[str, list[Detections], list[Tensor]]:
    """A name; the surest `most` queries of each of images [B, 3, S, S]; and heat [most, h, w] in 0..1 of each.

    DETR and Conditional DETR: cross-attention of the last layer of the decoder, the mean over heads. YOLOS: attention
    of the query to the patches in the last block. The others look at a few points between places, so that there is no
    attention to places: map times the gradient of the query's score, summed over channels and levels.
    """
    name, look = ("attention", _attended) if learner.attends_to_maps else ("gradient x map", _weighed)
    with torch.inference_mode(False), torch.enable_grad():
        seen, heat = look(learner, images.detach().clone(), most)
    side = images.shape[-1]
    detections = [
        to_detections({"boxes": box * side, "labels": label, "scores": score})
        for box, label, score in zip(seen.boxes, seen.labels, seen.scores, strict=True)
    ]
    return name, detections, [_unit(heatmap.detach()) for heatmap in heat]


@dataclass
class _Surest:
    """The surest queries: places, logits, scores and labels [B, K] each, and boxes xyxy [B, K, 4] in 0..1."""

    places: Tensor
    logits: Tensor
    scores: Tensor
    labels: Tensor
    boxes: Tensor


def _surest(learner: Any, output: Any, most: int) -> _Surest:
    spare = any(rows.after for rows in learner.class_rows.values() if not learner.queries_from_maps)
    logits = output.logits[..., :-1] if spare else output.logits  # the last one says: nothing
    scores = output.logits.softmax(-1)[..., :-1] if spare else logits.sigmoid()
    best, labels = scores.max(dim=2)
    scores, places = best.topk(min(most, best.shape[1]), dim=1)
    labels = labels.gather(1, places)
    rows = torch.arange(len(places), device=places.device)[:, None]
    middle, sides = output.pred_boxes[rows, places].split(2, dim=2)
    boxes = torch.cat([middle - sides / 2, middle + sides / 2], dim=2).clamp(0, 1)
    return _Surest(places, logits[rows, places, labels], scores, labels, boxes)


def _attended(learner: Any, images: Tensor, most: int) -> tuple[_Surest, list[Tensor]]:
    module, kept = learner.module, learner.module.config._attn_implementation
    module.set_attn_implementation("eager")  # the others do not give their weights
    try:
        output = module(pixel_values=images, output_attentions=True)
    finally:
        module.set_attn_implementation(kept)
    surest = _surest(learner, output, most)
    weights = output.cross_attentions if getattr(output, "cross_attentions", None) else output.attentions
    weights = weights[-1].mean(dim=1)  # [B, queries or tokens, places or tokens]
    if weights.shape[1] == weights.shape[2]:  # one sequence: class token, patches, queries
        count = module.config.num_detection_tokens
        weights = weights[:, -count:, 1:-count]
    side = round(weights.shape[2] ** 0.5)
    return surest, [row[place].unflatten(1, (side, side)) for row, place in zip(weights, surest.places, strict=True)]


def _weighed(learner: Any, images: Tensor, most: int) -> tuple[_Surest, list[Tensor]]:
    held: list[Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        held.extend(getattr(output, "feature_maps", output))

    hook = learner.module.get_submodule(learner.backbone_path).register_forward_hook(keep)
    try:
        output = learner.module(pixel_values=images.requires_grad_(True))
    finally:
        hook.remove()
    surest = _surest(learner, output, most)
    size = max(level.shape[-1] for level in held)
    heats = []
    for query in range(surest.places.shape[1]):
        slopes = torch.autograd.grad(surest.logits[:, query].sum(), held, retain_graph=True)
        parts = [(level * slope).sum(dim=1, keepdim=True).abs() for level, slope in zip(held, slopes, strict=True)]
        heats.append(sum(interpolate(part, (size, size), mode="bilinear") for part in parts)[:, 0])
    return surest, list(torch.stack(heats, dim=1))


def _unit(heat: Tensor) -> Tensor:
    """Each map scaled to 0..1."""
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    return (heat - low) / (high - low).clamp(min=1e-12)

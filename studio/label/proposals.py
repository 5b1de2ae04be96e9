"""From what a checkpoint answers to what a person may accept: a truth as labelling projects keep it."""

from dataclasses import dataclass
from typing import Any

from studio.store.labelling import Labels, Truth

SURE = 0.3  # score from which a box is proposed


@dataclass(frozen=True)
class Proposal:
    """What an image may show, and how sure that is: the score 0..1 of the class, or of the least sure box."""

    truth: Truth
    score: float


def truth_of_answer(answer: dict[str, Any], labels: Labels) -> Proposal | None:
    """A checkpoint's answer (`Answer.to_dict`) as a proposal; None where it says nothing that the project asks for.

    Where the project has classes, others are left out.
    """
    wanted = set(labels.classes)
    size = [answer.get("width"), answer.get("height")]
    if labels.kind == "classes" and "boxes" not in answer and answer.get("label") is not None:
        known = not wanted or answer["label"] in wanted
        return Proposal({"label": answer["label"]}, float(answer["score"])) if known else None
    if labels.kind == "boxes" and "boxes" in answer:
        boxes = [box for box in answer["boxes"] if box["score"] >= SURE and (not wanted or box["label"] in wanted)]
        rows = [[box["label"], *map(float, box["box"])] for box in boxes]
        return Proposal({"size": size, "boxes": rows}, min(box["score"] for box in boxes)) if boxes else None
    if labels.kind == "masks" and "classes" in answer:
        parts = [part for part in answer["classes"] if "rle" in part and (not wanted or part["label"] in wanted)]
        rows = [[part["label"], part["rle"]] for part in parts]
        return Proposal({"size": size, "shapes": rows}, min(part["score"] for part in parts)) if parts else None
    return None

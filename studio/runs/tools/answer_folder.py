"""Answer a folder: what a checkpoint says of each of its images, and where that is wrong."""

from typing import Any

from PIL import Image
from pydantic import Field

from studio.core import registry
from studio.core.tool import Bench, Images, Tool, ToolInputs, ToolResult
from studio.data.splits import images
from studio.runs.tools.adapt_to_folder import readable

SHOWN = 60  # wrong answers, the surest first
SIDE = 512  # pixels of one that is shown


@registry.tool
class AnswerFolder(Tool):
    name, title = "answer-folder", "Answer a whole folder"
    about = "Answers each image of a folder, as a table; where their classes are known, the mistakes to click through."

    class Inputs(ToolInputs):
        data: Images = Field(min_length=1, description="Which images: images:FOLDER, folder:FOLDER, zip:FILE")

    def fits(self, manifest: Any) -> bool:
        return bool(manifest.classes)

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        dataset, read = images(inputs.data, bench.home), list[Any]()
        rows: list[dict[str, Any]] = []
        wrong: list[tuple[float, Image.Image, str]] = []
        for place, seen in enumerate(bench.model(checkpoint).look(readable(dataset.items, read))):
            item = read[place]
            records = seen.answer.records()
            truth = dataset.classes[item.label] if dataset.truth == "labels" and len(records) == 1 else None
            for record in records:
                known = {} if truth is None else {"truth": truth, "right": record["label"] == truth}
                rows.append({"image": item.name, "label": record["label"], "score": record.get("score"), **known})
                if known and not known["right"]:
                    wrong.append((record["score"], _small(seen.image), f"{truth} → {record['label']}"))
                    wrong = sorted(wrong, key=lambda mistake: -mistake[0])[:SHOWN]
        rows.sort(key=lambda row: row.get("right", True))  # mistakes first
        judged = sum("right" in row for row in rows)
        facts = {
            "images": len(read), "judged": judged, "wrong": sum(not row["right"] for row in rows if "right" in row),
            "unreadable": len(dataset.items) - len(read),
        }  # fmt: skip
        remark = "tool.answer-folder.judged" if judged else "tool.answer-folder.answered"
        return ToolResult(facts, (remark, facts), rows, images=[(image, text) for _, image, text in wrong])


def _small(image: Image.Image) -> Image.Image:
    copy = image.copy()
    copy.thumbnail((SIDE, SIDE))
    return copy

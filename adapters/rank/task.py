"""Task rank: its recipe keys."""

from pydantic import Field

from studio.core.registry import task
from studio.core.sections import LabelledData
from studio.core.task import Task


class RankData(LabelledData):
    source: str | None = Field(None, description="source domain; a comma joins several")
    target: str | None = Field(None, description="target domain; its labels are never used")


@task
class Rank(Task):
    """Says which backbone or which source suits some data, before anything is trained."""

    name = "rank"
    title = "Rank backbones and sources"
    truth = "labels"
    Data = RankData

"""Task align: its recipe keys; a labelled source and a target whose labels no method sees."""

from pydantic import Field

from studio.core.registry import task
from studio.core.sections import DataSection
from studio.core.task import Task


class AlignData(DataSection):
    source: str | None = Field(None, description="source domain; a comma joins several")
    target: str | None = Field(None, description="target domain; its labels are used for the final score only")


@task
class Align(Task):
    """Learns classes in one domain and names them in another that has no labels."""

    name = "align"
    title = "Move a classifier to another look"
    truth = "labels"
    hub_tag = "image-classification"
    Data = AlignData

"""Task count: how many bright objects an image shows."""

from pydantic import Field

from studio.core.registry import task
from studio.core.sections import DataSection, EvalSection
from studio.core.task import Task


class CountData(DataSection):
    images: str | None = Field(None, description="images to count in, such as folder:photos")


class CountEval(EvalSection):
    tolerance: int = Field(0, ge=0, le=100, description="objects by which a count may be off")


@task
class Count(Task):
    """Counts the bright objects in an image."""

    name = "count"
    title = "Count objects"
    Data, Eval = CountData, CountEval

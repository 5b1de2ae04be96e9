"""How a ranking is run: the method looks and reports; no checkpoint is left."""

from typing import Any

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import Method, procedure


class Ranking(Method):
    """A method that compares backbones or domains before anything is trained."""

    task = "rank"
    takes_checkpoint = False

    def rank(self, job: Job) -> dict[str, Any]:
        """The metrics; tables, figures and warnings go into the job's events."""
        raise NotImplementedError


@procedure
class RankingProcedure(Procedure):
    """Runs every method of task rank."""

    task = "rank"
    face = Ranking

    def run(self, job: Job) -> Outcome:
        return Outcome(job.method.rank(job))

    def restore(self, checkpoint: Any, device: str, home: Home, store: Any) -> Predictor:
        raise UsageError("A ranking leaves nothing to predict with; run a classify or align recipe for that.")


def backbone_of(job: Job, spec: str) -> Any:
    """The frozen backbone named by `spec`, on the job's device."""
    return registry.backbone(spec, home=job.home, image_size=job.recipe.model.image_size).to(job.device).eval()

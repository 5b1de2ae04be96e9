"""Mode collapse: a generator that makes the same of everything. Watched after every epoch, said in the run."""

from studio.core.procedure import Job

LOW = 0.3  # of the diversity of the wanted look
FALLEN = 0.5  # of the highest diversity so far


class CollapseWatch:
    """Warns once, where images have become alike: below 0.3 of the look's diversity, and half of what it was."""

    def __init__(self, job: Job) -> None:
        self.job, self.highest, self.warned = job, 0.0, False

    def look(self, diversity: float, epoch: int) -> None:
        """`diversity` of the images made after an epoch, as a share of that of the wanted look."""
        if not self.warned and diversity < min(LOW, FALLEN * self.highest):
            self.warned = True
            self.job.events.warning(
                f"Mode collapse: after epoch {epoch} the images made differ from each other by {diversity:.2f} of what "
                f"images of the wanted look do (it was {self.highest:.2f}). The best epoch is kept; params.r1, "
                "params.spectral, params.diff_augment or a smaller train.lr help."
            )
        self.highest = max(self.highest, diversity)

"""The seeds of a table."""

from pydantic import Field

from studio.core.registry import Params


class Seeds(Params):
    seeds: int = Field(1, ge=1, le=1000, description="how many seeds, from first_seed on")
    first_seed: int = Field(0, ge=0, le=1_000_000, description="the first of the seeds")

    def each_seed(self) -> list[int]:
        return list(range(self.first_seed, self.first_seed + self.seeds))


def one_seed(seed: int) -> dict[str, int]:
    """What a recipe changes to have one of its seeds alone."""
    return {"params.seeds": 1, "params.first_seed": seed}

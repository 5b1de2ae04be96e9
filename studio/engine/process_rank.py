"""This process's place among those that share a run; they are started by `accelerate launch`, which sets it."""

import os


def rank() -> int:
    """This process's number; 0 where it is alone."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """How many processes share the run."""
    return int(os.environ.get("WORLD_SIZE", 1))

"""Detection runs small enough for tests, worked on in this process."""

from studio.core import recipe as recipes
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

SMALL = {
    "task": "detect",
    "method": "detect/fcos",
    "model": {"image_size": 64},
    "data": {
        "train": "builtin:scenes?images=10&size=96&classes=2",
        "test": "builtin:scenes?images=4&size=96&classes=2&seed=5",
    },
    "params": {"width": 32, "depth": 1},
    "train": {"epochs": 1, "batch_size": 4},
    "device": "cpu",
}


def work(values: dict, home):
    run = submit(recipes.parse(values), Store(home))
    return run, run_inline(run, home)

"""A run from a recipe's values, worked on in this process: what the tests of several tasks begin with."""

from collections.abc import Callable

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store


def work(values: dict, home: Home, should_stop: Callable[[], bool] = lambda: False):
    """The filed run, and its result."""
    run = submit(recipes.parse(values), Store(home))
    return run, run_inline(run, home, should_stop=should_stop)

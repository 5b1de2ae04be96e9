"""Where a run's results come from and what became of them: data, version, run, checkpoint, what it was taught since."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from studio.core.errors import StudioError, UsageError
from studio.core.recipe import Recipe
from studio.core.rights import SAVED_HERE
from studio.data.specs import parse
from studio.store import RunFolder, Store
from studio.store.versions import facts_of

DEEPEST = 20  # of what was taught one after the other


@dataclass(frozen=True)
class Node:
    """One thing of a lineage; what it led to follows it, one deeper."""

    kind: Literal["data", "version", "run", "checkpoint", "taught"]
    name: str
    depth: int
    chosen: bool = False


def lineage(run: RunFolder, store: Store) -> list[Node]:
    """From the data and the checkpoint that a run began with to the checkpoints that were made of its own."""
    recipe = run.recipe()
    nodes = [Node("checkpoint", name, depth) for depth, name in enumerate(_before(recipe, store))]
    depth = len(nodes)
    nodes += [node for key, spec in _data(recipe) for node in _of_data(key, spec, store, depth)]
    depth = max((node.depth for node in nodes), default=-1)
    nodes.append(Node("run", run.id, depth + 1, chosen=True))
    left = run.checkpoint()
    if left:
        nodes.append(Node("checkpoint", left, depth + 2))
        nodes += _taught(left, store.checkpoints(), depth + 3)
    return nodes


def _before(recipe: Recipe, store: Store) -> list[str]:
    """The checkpoint that the run went on from and its own ancestors, the oldest first."""
    if not recipe.model.checkpoint:
        return []
    try:
        return [row["checkpoint"] for row in reversed(store.lineage(recipe.model.checkpoint))]
    except UsageError:  # deleted since, or never there
        return [recipe.model.checkpoint]


def _data(recipe: Recipe) -> list[tuple[str, str]]:
    return [(key, value) for key, value in recipe.data if isinstance(value, str) and value]


def _of_data(key: str, spec: str, store: Store, depth: int) -> Iterator[Node]:
    """Each part of a data spec; a version follows the data that it was saved of."""
    for part in parse(spec):
        if part.scheme != SAVED_HERE:
            yield Node("data", f"{key}: {part.text}", depth)
            continue
        try:
            facts = facts_of(store.home, part.rest)
            yield Node("data", f"{key}: {facts.data}", depth)
            yield Node("version", f"{facts.version}  {facts.short}", depth + 1)
        except StudioError:  # deleted since
            yield Node("version", f"{key}: {part.text}", depth)


def _taught(parent: str, rows: list[dict[str, Any]], depth: int) -> Iterator[Node]:
    if depth > DEEPEST:
        return
    for row in reversed(rows):  # the oldest first
        if row.get("parent") == parent:
            yield Node("taught", row["checkpoint"], depth)
            yield from _taught(row["checkpoint"], rows, depth + 1)

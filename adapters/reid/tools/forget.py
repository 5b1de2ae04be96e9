"""Forget: one individual, or the whole gallery, out of a checkpoint and out of those that it was made from."""

from typing import Any

from pydantic import Field

from adapters.reid.run.enrolment import with_gallery
from adapters.reid.run.gallery import Gallery
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.tool import Bench, Tool, ToolInputs, ToolResult
from studio.store import Store


@registry.tool
class Forget(Tool):
    name, title = "forget", "Forget"
    about = (
        "Makes a checkpoint whose gallery lacks one individual, or everyone, and deletes this one with those that it "
        "was made from and those made of it, for good."
    )

    class Inputs(ToolInputs):
        who: str = Field("", description="Whom to forget; empty forgets everyone")
        keep_others: bool = Field(False, description="Keep the checkpoints that still know")

    def fits(self, manifest: Any) -> bool:
        return manifest.task == "reid"

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        store = Store(bench.home)
        chosen, who = store.checkpoint(checkpoint), inputs.who.strip()
        gallery = Gallery.load(chosen)
        width = gallery.embeddings.shape[1] if len(gallery) else 0
        made = with_gallery(store, chosen, gallery.without(who) if who else Gallery.empty(width))
        deleted = [] if inputs.keep_others else _delete(store, checkpoint, who, made.id)
        facts = {"checkpoint": made.id, "in_gallery": len(made.manifest.classes), "deleted": len(deleted)}
        return ToolResult(facts, ("tool.forget.done", {"name": made.id, **facts}), checkpoint=made.id)


def _delete(store: Store, checkpoint: str, who: str, made: str) -> list[str]:
    """Deletes the checkpoints of one family that know someone of this name, or anyone, and what they alone held."""
    rows = {row["checkpoint"]: row for row in store.checkpoints()}
    family, before = {checkpoint}, 0
    while len(family) > before:
        before = len(family)
        parents = {rows[name]["parent"] for name in family if name in rows}
        children = {name for name, row in rows.items() if row["parent"] in family}
        family |= {name for name in parents | children if name in rows}
    deleted = []
    for name in sorted(family - {made}):
        classes = store.checkpoint(name).manifest.classes
        if who in classes if who else classes:
            try:
                store.delete(name)
            except UsageError as error:
                raise UsageError(f"{made} has forgotten, but {name} is still there: {error}") from error
            deleted.append(name)
    store.gc()
    return deleted

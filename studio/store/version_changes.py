"""What became of a data set from one version to another: images added, removed, changed, relabelled, moved."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from studio.core.home import Home
from studio.store.versions import Entry, Facts, entries_of, facts_of

Kind = Literal["added", "removed", "changed", "relabelled", "moved"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Change:
    """One image: `before` and `after` say its class, split or content, empty where it is not there."""

    image: str
    change: Kind
    before: str
    after: str


@dataclass(frozen=True)
class Changes:
    """Between two versions; an image may be relabelled and moved at once, and then stands there twice."""

    before: Facts
    after: Facts
    rows: list[Change]
    unchanged: int

    def counts(self) -> dict[str, int]:
        return {kind: sum(row.change == kind for row in self.rows) for kind in KINDS}

    def sentence(self) -> str:
        """`a -> b: 3 added, 1 relabelled, 40 unchanged.`"""
        told = [f"{count} {kind}" for kind, count in self.counts().items() if count]
        return f"{self.before.version} -> {self.after.version}: {', '.join([*told, f'{self.unchanged} unchanged'])}."

    def to_dict(self) -> dict[str, Any]:
        return {
            "before": self.before.version, "after": self.after.version, **self.counts(), "unchanged": self.unchanged,
            "sentence": self.sentence(), "rows": [asdict(row) for row in self.rows],
        }  # fmt: skip


def compare_versions(home: Home, before: str, after: str) -> Changes:
    """Images are the same where their names are, else where their content is: a file in another class folder is
    relabelled, not removed and added. Raises UsageError for a version that is not there."""
    first, second = facts_of(home, before), facts_of(home, after)
    old = {entry.name: entry for entry in entries_of(home, before)}
    new = {entry.name: entry for entry in entries_of(home, after)}
    pairs = [(old[name], new[name]) for name in old if name in new]
    gone, come = [old[name] for name in old if name not in new], [new[name] for name in new if name not in old]
    pairs += _renamed(gone, come)
    rows = [Change(entry.name, "removed", _said(entry), "") for entry in gone]
    rows += [Change(entry.name, "added", "", _said(entry)) for entry in come]
    unchanged = 0
    for left, right in pairs:
        changes = _changes(left, right)
        unchanged += not changes
        rows += changes
    order = {kind: place for place, kind in enumerate(KINDS)}
    return Changes(first, second, sorted(rows, key=lambda row: (order[row.change], row.image)), unchanged)


def _renamed(gone: list[Entry], come: list[Entry]) -> list[tuple[Entry, Entry]]:
    """Pairs of one content under two names, taken out of both lists."""
    by_content: dict[str, list[Entry]] = {}
    for entry in come:
        by_content.setdefault(entry.image, []).append(entry)
    pairs = [(entry, by_content[entry.image].pop(0)) for entry in gone if by_content.get(entry.image)]
    taken = {entry.name for pair in pairs for entry in pair}
    gone[:] = [entry for entry in gone if entry.name not in taken]
    come[:] = [entry for entry in come if entry.name not in taken]
    return pairs


def _changes(left: Entry, right: Entry) -> list[Change]:
    changes = []
    if left.image != right.image:
        changes.append(Change(right.name, "changed", left.image[:12], right.image[:12]))
    if left.truth != right.truth:
        changes.append(Change(right.name, "relabelled", _said(left), _said(right)))
    if left.split != right.split:
        changes.append(Change(right.name, "moved", left.split or "", right.split or ""))
    return changes


def _said(entry: Entry) -> str:
    """What is true of an image, in a few words."""
    truth = entry.truth
    if "boxes" in truth:
        names = sorted(box[0] for box in truth["boxes"])
        return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names)) or "no boxes"
    if "mask" in truth:
        return f"mask {truth['mask'][:12]}"
    return str(truth.get("label", ""))

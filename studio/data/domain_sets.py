"""Published sets of domains: where their class folders lie, and how many images each domain has.

A set is declared by its reader (`readers/office31.py`, ...) and read here: a domain's folder is found below the root,
read as class folders are, and its images counted beside those that were published.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from studio.core.errors import DataError, nearest
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.items import Dataset
from studio.data.readers import folder

OPTIONS = {"domain": "one of its domains; all of them without it"}


@dataclass(frozen=True)
class DomainSet:
    """A set as it is published.

    `layouts` are the folders that hold a domain's class folders, below the root, with {domain} in them. `counts` are
    the images of each domain, in each version that was published. `get` says where it comes from.
    """

    title: str
    get: str
    layouts: tuple[str, ...]
    classes: int
    counts: dict[str, tuple[int, ...]]

    def instructions(self) -> str:
        """What to do where the set is not there."""
        total = sum(versions[0] for versions in self.counts.values())
        return (
            f"{self.title} ({total:,} images, {self.classes} classes) comes from {self.get}. Its class folders belong "
            f"in {self.layouts[0]}, one for each of the domains {', '.join(self.counts)}."
        )


def read_domains(published: DomainSet, rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """One domain of a set, or all. Raises DataError, with what to fetch and where to put it, where one is not there."""
    root = Path(rest).expanduser()
    if not root.is_dir():
        raise DataError(f"{no_such(root, 'folder')} {published.instructions()}")
    asked = options.get("domain")
    if asked is not None and asked not in published.counts:
        known = ", ".join(published.counts)
        raise DataError(f"{published.title} has no domain {asked!r}; it has {known}.{nearest(asked, published.counts)}")
    return _joined([_domain(published, root, name, limits) for name in ([asked] if asked else published.counts)])


def _domain(published: DomainSet, root: Path, name: str, limits: Limits) -> Dataset:
    folders = [root / layout.format(domain=name) for layout in published.layouts]
    place = next((path for path in folders if path.is_dir()), None)
    if place is None:
        looked = " and ".join(str(path) for path in folders)
        raise DataError(f"{root} does not hold the domain {name} (looked for {looked}). {published.instructions()}")
    dataset = folder.read(str(place), {}, limits)
    remark = say_counts(published, name, len(dataset), len(dataset.classes))
    items = [replace(item, domain=name) for item in dataset.items]
    return replace(dataset, items=items, splits={}, remarks=[*dataset.remarks, remark])


def say_counts(published: DomainSet, name: str, images: int, classes: int) -> str:
    """A sentence on how much of a domain is there, beside what was published."""
    versions = published.counts[name]
    known = " or ".join(f"{count:,}" for count in versions)
    text = (
        f"{published.title}, {name}: {images:,} of {known} images and {classes} of {published.classes} classes are here"
    )
    if images > max(versions) or classes > published.classes:
        return f"{text}; that is more than were published, so other files are among them."
    if images in versions and classes == published.classes:
        return f"{text}, all of it."
    return f"{text}; the rest is missing."


def _joined(parts: list[Dataset]) -> Dataset:
    """One set of several domains, their classes merged by name."""
    classes = sorted({name for part in parts for name in part.classes})
    items = [
        replace(item, label=classes.index(part.classes[item.label])) for part in parts for item in part.items
    ]  # fmt: skip
    skipped = [skip for part in parts for skip in part.skipped]
    return Dataset("", classes, items, skipped, remarks=[remark for part in parts for remark in part.remarks])

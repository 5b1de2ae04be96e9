"""Data versions over HTTP and MCP: save one, list them, compare two, delete one."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from studio.ui.actions import Actions


def version_functions(actions: Actions) -> list[Callable[..., Any]]:
    """The functions, for whoever's request is being answered."""

    def save_version(version: str, data: str, without: str = "") -> dict[str, Any]:
        """Keeps the images of a data spec, with what is true of each, under a name; train on the spec it answers.

        Args:
            version: a name for it, such as birds-1; it never changes
            data: such as folder:FOLDER or zip:FILE; a visitor's own uploads or what is built in
            without: images with these problems are left out, by commas: all, or some of leaks, conflicts, duplicates,
                near_duplicates, tiny
        """
        facts = actions.save_version(version, data, without.split(",") if without else [])
        return {**asdict(facts), "spec": facts.spec}

    def list_versions() -> list[dict[str, Any]]:
        """Data versions, newest first: of which data, when, how many images, the hash of their content."""
        return [{**asdict(facts), "spec": facts.spec} for facts in actions.versions()]

    def compare_versions(before: str, after: str) -> dict[str, Any]:
        """Images that were added, removed, changed, relabelled or moved to another split between two versions.

        Args:
            before: name of a version
            after: name of another one
        """
        return actions.compare_versions(before, after).to_dict()

    def delete_version(version: str) -> dict[str, Any]:
        """Forgets a data version; runs that learned from it can't be repeated.

        Args:
            version: its name
        """
        actions.delete_version(version)
        return {"deleted": version}

    return [save_version, list_versions, compare_versions, delete_version]

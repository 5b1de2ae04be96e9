"""Photos that come through the page: they keep to the limits of all images, and a bad one is refused in a sentence.

Gradio opens them itself, within no limits but Pillow's own, and of what it can't read it says "Error".
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from studio.core.errors import DataError
from studio.data.files.images import BadImage, inspect_image, read_image
from studio.data.files.limits import Limits
from studio.data.items import FileSource
from studio.ui.guard import guarded

Sent = Sequence[tuple[Path, str]]  # a file, and the name that it had where it came from


def sent(blocks: Sequence[Any], inputs: Sequence[Any]) -> Sent:
    """The photos among the inputs of an event that were uploaded."""
    return [
        (path, value.get("orig_name") or path.name)
        for block, value in zip(blocks, inputs, strict=False)
        if isinstance(block, gr.Image) and isinstance(value, dict) and value.get("path")
        and (path := Path(value["path"]).resolve()).is_relative_to(Path(block.GRADIO_CACHE).resolve())
    ]  # fmt: skip


@guarded
def judge(photos: Sent, limits: Limits) -> None:
    """Raises gr.Error for a photo that is none, or larger than may be; by the header alone."""
    for path, name in photos:
        _told(inspect_image, path, name, limits)


@guarded
def judge_whole(photos: Sent, limits: Limits) -> None:
    """Raises gr.Error for a photo that can't be read to its end."""
    for path, name in photos:
        _told(read_image, path, name, limits)


def _told(read: Callable[..., Any], path: Path, name: str, limits: Limits) -> None:
    try:
        read(FileSource(path), name, limits=limits)
    except BadImage as error:
        raise DataError(f"The photo can't be used. {error}") from error

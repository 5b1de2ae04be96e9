"""Files that the page shows, and those that it is given by name."""

from os import PathLike
from typing import Any

from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like, traverse

from studio.core.rights import not_uploaded
from studio.ui.guard import guarded


def served(path: str | PathLike[str]) -> str:
    """A copy of a file in the folder that the page serves from, kept by its content: asked twice, copied once.

    Gradio serves nothing of the home folder. Raises OSError where it can't be read.
    """
    return save_file_to_cache(str(path), get_upload_folder())


@guarded
def refuse_addresses(inputs: Any) -> None:
    """Raises gr.Error where an event names a file by its web address: Gradio would fetch it, however large, at once."""

    def refuse(file: dict[str, Any]) -> None:
        if is_http_url_like(file["path"]):
            raise not_uploaded(file["path"])

    traverse(inputs, refuse, is_file_obj_with_meta)

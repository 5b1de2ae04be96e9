"""Files that the page shows: Gradio serves nothing of the home folder, so each is copied where it does serve."""

from os import PathLike

from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder


def served(path: str | PathLike[str]) -> str:
    """A copy of a file in the folder that the page serves from, kept by its content: asked twice, copied once.

    Raises OSError where it can't be read.
    """
    return save_file_to_cache(str(path), get_upload_folder())

"""Addresses of other machines, `s3://bucket/photos` and the like: what opens them, and what is wrong, in words.

Credentials come from where each service's own tools look for them.
"""

import re
from typing import Any

from studio.core.errors import one_line

ADDRESS = re.compile(r"(s3|gs|hf|https?)://", re.IGNORECASE)
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub"}
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws; AWS_ENDPOINT_URL names another server",
    "gs": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
    "hf": "HF_TOKEN",
}


def is_remote(text: str) -> bool:
    """Whether a path is an address of another machine."""
    return ADDRESS.match(text) is not None


def file_system(address: str) -> tuple[Any, str]:
    """The file system (of fsspec) that an address is in, which remembers no listing, and its path there.

    Raises ImportError where the package for it is not installed, and what that package raises.
    """
    from fsspec.core import url_to_fs

    files, path = url_to_fs(address, use_listings_cache=False, skip_instance_cache=True)
    return files, path.rstrip("/")


def complaint(address: str, error: Exception) -> str:
    """A sentence on what went wrong, and what to do; errors of libraries are told by their words."""
    scheme = address.partition("://")[0].lower()
    if isinstance(error, ImportError):
        return f"{scheme}:// needs {PACKAGES.get(scheme, scheme)}: pip install -r requirements-cluster.txt"
    if isinstance(error, FileNotFoundError | IsADirectoryError) and not _no_answer(error):
        return f"There is nothing at {address}."
    if is_refusal(error):
        where = f" Credentials come from {CREDENTIALS[scheme]}." if scheme in CREDENTIALS else ""
        return f"Access to {address} is refused ({one_line(error, 120)}).{where}"
    return f"{address} can't be reached or read ({one_line(_no_answer(error) or error, 160)})."


def _no_answer(error: BaseException) -> Exception | None:
    """The connection that failed behind a file that is said to be missing; None where a server answered."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def is_refusal(error: Exception) -> bool:
    """Whether credentials are wrong, lacking, or allow too little."""
    words = f"{type(error).__name__} {error}"
    return isinstance(error, PermissionError) or "Credentials" in words or getattr(error, "status", 0) in (401, 403)

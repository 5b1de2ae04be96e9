"""A folder on object storage, such as `s3://bucket/studio`: files appear whole, and what fails is tried again."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from studio.core.addresses import complaint, file_system, is_refusal
from studio.core.errors import StoreError
from studio.store.files import clear_errors, replace, temp_name

TRIES, PAUSE_S = 6, 0.2  # the pause doubles with each
Result = TypeVar("Result")


class Bucket:
    """Files below an address of fsspec. Every method raises StoreError where it can't be done."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        try:
            self._files, self._root = file_system(self.address)
        except Exception as error:  # a package that is missing, an address that is none
            raise StoreError(complaint(self.address, error)) from error

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each file right in a folder, by name; empty where there is no such folder."""
        path = f"{self._root}/{folder}"
        listed = self._try(lambda: self._files.ls(path, detail=True), missing=[])
        return {facts["name"].rpartition("/")[2]: int(facts["size"]) for facts in listed if facts["type"] == "file"}

    def read(self, name: str) -> bytes | None:
        """What a small file holds; None where there is none."""
        return self._try(lambda: self._files.cat_file(f"{self._root}/{name}"), missing=None)

    def write(self, name: str, data: bytes) -> None:
        """A small file; it appears whole or not at all."""
        self._try(lambda: self._files.pipe_file(f"{self._root}/{name}", data))

    def send(self, path: Path, name: str) -> None:
        """A file of this disk; it appears whole or not at all."""
        self._try(lambda: self._files.put_file(str(path), f"{self._root}/{name}"))

    def fetch(self, name: str, path: Path, sound: Callable[[Path], bool]) -> None:
        """A file onto this disk, which appears there once `sound` says that it is whole."""
        temp = temp_name(path)

        def copy() -> None:
            self._files.get_file(f"{self._root}/{name}", str(temp))
            if not sound(temp):
                raise OSError(f"{name} did not arrive as it was sent")

        with clear_errors(path.parent):
            try:
                self._try(copy)
                with open(temp, "rb+") as file:
                    os.fsync(file.fileno())
                replace(temp, path)
            finally:
                temp.unlink(missing_ok=True)

    def _try(self, work: Callable[[], Result], **missing: Any) -> Any:
        """`work`, made again after a pause where it fails; `missing` is given back for what is not there."""
        for attempt in range(TRIES):
            try:
                return work()
            except FileNotFoundError as error:
                if "missing" in missing:
                    return missing["missing"]
                raise StoreError(complaint(self.address, error)) from error
            except Exception as error:  # each library has errors of its own
                if is_refusal(error) or attempt == TRIES - 1:
                    raise StoreError(f"{complaint(self.address, error)} Nothing here was lost.") from error
                time.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

"""Knows pickled files, by name and by content, without ever opening them as such.

Unpickling runs whatever code the file carries. So a `.pt` from outside is refused, and the person is
told how to bring its weights in.
"""

import zipfile
from pathlib import Path, PurePosixPath

from studio.core.errors import UsageError

SUFFIXES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")
HEAD = 4096  # bytes looked at
ZIP = b"PK\x03\x04"


def refuse_pickles(path: Path) -> None:
    """Looks at a file, the files of a folder, or the members of a zip. Raises UsageError for a pickle."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                refuse_pickles(file)
        return
    with open(path, "rb") as file:
        _refuse_if(pickled(path.name, file.read(HEAD)), path.name)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as inner:
                    head = inner.read(HEAD)
                hidden = "it is an archive inside of an archive, where one can hide" if head[:4] == ZIP else None
                _refuse_if(pickled(member, head) or hidden, f"{path.name}:{member}")


def _refuse_if(reason: str | None, name: str) -> None:
    if reason:
        raise UsageError(
            f"{name} is refused: {reason}, and loading a pickle runs whatever code its maker put in. Where the file "
            "was made, load it and keep its tensors with `safetensors.torch.save_file(model.state_dict(), "
            "'model.safetensors')`; then import the folder that holds model.safetensors and its config.json."
        )


def pickled(name: str, head: bytes) -> str | None:
    """Why a file of this name and first bytes is taken for a pickle; None where it isn't."""
    if head[:6] == b"\x93NUMPY":
        return "it is a NumPy file of Python objects, which are pickled" if b"|O" in head else None
    is_safetensors = head[4:9] == b"\0\0\0\0{"  # a header of 640 bytes begins as a pickle does: 80 02
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and not is_safetensors:
        return "its content is a pickle"
    if head[:4] == ZIP and b"data.pkl" in head:
        return "it is a zip that PyTorch wrote, with a pickle inside"
    suffix = PurePosixPath(name).suffix.lower()
    return f"{suffix} files are pickled" if suffix in SUFFIXES else None

"""Files of annotations, on disk or in a zip, read within the limits: JSON, YAML, XML and plain text."""

from typing import Any
from xml.etree.ElementTree import Element, ParseError

from studio.core.errors import DataError
from studio.core.texts import TextError, load_json, load_yaml
from studio.data.files.limits import LIMITS, Limits
from studio.data.files.zip_paths import AnyPath, ZipPath

YAML_BYTES = 8 * 2**20  # names classes and folders; read, it costs a hundred times what JSON does


class Unreadable(DataError):
    """A file of annotations that is too large, or not of its format; `reason` says it without the file's name."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}")
        self.reason = reason


def read_bytes(path: AnyPath, limits: Limits = LIMITS) -> bytes:
    """A file's bytes. Raises Unreadable where there are too many, before they are read; OSError as any reader."""
    size = path.stat().st_size
    if size > limits.text_bytes:
        raise Unreadable(
            path, f"it has {_mb(size)} MB; a file of annotations may have {_mb(limits.text_bytes)} MB at most"
        )
    if isinstance(path, ZipPath) and size > limits.ratio_from:
        packed = path.archive.packed_size(str(path.path))
        if size > limits.text_ratio * packed:
            raise Unreadable(
                path,
                f"it would unpack from {_mb(packed)} MB to {_mb(size)} MB, more than {limits.text_ratio} times its "
                "size: this looks like a zip bomb, and is refused",
            )
    return path.read_bytes()


def read_text(path: AnyPath, limits: Limits = LIMITS, encoding: str = "utf-8-sig") -> str:
    """A file's text. Raises Unreadable, UnicodeDecodeError where it is in another encoding."""
    return read_bytes(path, limits).decode(encoding)


def read_json(path: AnyPath, limits: Limits = LIMITS) -> Any:
    """What a JSON file says; None for an empty one. Raises Unreadable."""
    data = read_bytes(path, limits)
    try:
        return load_json(data, limits.text_bytes, limits.text_values) if data.strip() else None
    except TextError as error:
        raise Unreadable(path, f"this is no JSON that is read ({error})") from error


def read_yaml(path: AnyPath, limits: Limits = LIMITS) -> Any:
    """What a YAML file says; None for an empty one. Raises Unreadable."""
    try:
        return load_yaml(read_text(path, limits), min(YAML_BYTES, limits.text_bytes), limits.text_values)
    except UnicodeDecodeError as error:
        raise Unreadable(path, "this is no YAML in UTF-8") from error
    except TextError as error:
        raise Unreadable(path, f"this is no YAML that is read ({error})") from error


def read_xml(path: AnyPath, limits: Limits = LIMITS) -> Element:
    """The tree of an XML file. Raises Unreadable, also for DTDs and entities: a small file could fill the memory."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    data = read_bytes(path, limits)
    if data.count(b"<") > limits.text_values:
        raise Unreadable(path, f"it has more than the {limits.text_values:,} XML tags that are read")
    try:
        return fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Unreadable(path, "its XML defines entities or a DTD, which is refused") from error
    except (ParseError, ValueError, RecursionError) as error:
        raise Unreadable(path, f"no XML ({error})" if data else "the file is empty") from error


def _mb(size: int) -> str:
    return f"{size / 2**20:,.1f}"

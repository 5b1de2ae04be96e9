"""Files of annotations, on disk or in a zip, read within the limits: JSON, YAML, XML and plain text."""

import codecs
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from studio.core.errors import DataError
from studio.core.texts import TextError, load_json, load_yaml
from studio.data.files.limits import LIMITS, Limits
from studio.data.files.zip_paths import AnyPath, ZipPath

YAML_BYTES = 8 * 2**20  # names classes and folders; read, it costs a hundred times what JSON does
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
#: encodings of text that files may declare; GB 2312 is read as the GB 18030 that it is part of
ENCODINGS = {name: name for name in (
    "utf-8", "ascii", "gb18030", "big5", "big5hkscs", "shift_jis", "euc_jp", "iso2022_jp", "euc_kr", "johab",
    "utf-16", "utf-16-le", "utf-16-be", "utf-32",
)} | {"gbk": "gb18030", "gb2312": "gb18030"}  # fmt: skip
DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]{0,40})["']""")


class Unreadable(DataError):
    """A file of annotations that is too large, or not of its format; `reason` says it without the file's name."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}")
        self.reason = reason


def read_bytes(path: AnyPath, limits: Limits = LIMITS) -> bytes:
    """A file's bytes. Raises Unreadable where there are too many, before they are read; OSError as any reader."""
    if isinstance(path, Path):
        limits.rights.require(path, "data")
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


def read_text(path: AnyPath, limits: Limits = LIMITS, encoding: str | None = None) -> str:
    """A file's text, by its byte order mark, as `encoding` says, or UTF-8. Raises Unreadable, UnicodeDecodeError."""
    return decoded(read_bytes(path, limits), encoding)


def read_lines(path: AnyPath, limits: Limits = LIMITS, encoding: str | None = None) -> list[str]:
    """The lines of a file that have text. Raises Unreadable, also for an encoding that is not said."""
    try:
        text = read_text(path, limits, encoding)
        return [line.strip() for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    except (UnicodeDecodeError, LookupError) as error:
        raise Unreadable(path, not_utf8(encoding)) from error


def decoded(data: bytes, encoding: str | None = None) -> str:
    """Text from bytes: a byte order mark decides, then `encoding`, then UTF-16 where every second byte is zero, or
    UTF-8. No encoding is guessed beyond that: another one would read other names. Raises UnicodeDecodeError, and
    LookupError for an encoding that is none.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            return data.decode(name)
    start = data[:200]
    if len(start) > 3 and len(data) % 2 == 0 and (not any(start[0::2]) or not any(start[1::2])):
        return data.decode("utf-16-be" if not any(start[0::2]) else "utf-16-le")
    if encoding is None:
        return data.decode("utf-8")
    known = codecs.lookup(encoding).name
    if known not in ENCODINGS and not known.startswith(("iso8859", "cp", "mac-", "koi8")):
        raise LookupError(f"{encoding[:30]!r} is no encoding of text that is read")
    return data.decode(ENCODINGS.get(known, known))


def not_utf8(encoding: str | None = None) -> str:
    """What to do with a text in an encoding that can't be known."""
    if encoding:
        return f"its text is not in {encoding[:30]!r}, as is said; expected another encoding, or UTF-8"
    return "its text is not UTF-8, and nothing says what it is; save it as UTF-8"


def read_json(path: AnyPath, limits: Limits = LIMITS) -> Any:
    """What a JSON file says; None for an empty one. Raises Unreadable."""
    try:
        text = read_text(path, limits)
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"this is no JSON that is read ({not_utf8()})") from error
    try:
        return load_json(text, limits.text_bytes, limits.text_values) if text.strip() else None
    except TextError as error:
        raise Unreadable(path, f"this is no JSON that is read ({error})") from error


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The JSON objects of what should be a list of them; none where it is something else."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def read_yaml(path: AnyPath, limits: Limits = LIMITS, as_text: bool = False) -> Any:
    """What a YAML file says; None for an empty one. `as_text` keeps `no`, `007` and `1.0` as written.

    Raises Unreadable.
    """
    try:
        text = read_text(path, limits)
        return load_yaml(text, min(YAML_BYTES, limits.text_bytes), limits.text_values, as_text)
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"this is no YAML in UTF-8 ({not_utf8()})") from error
    except TextError as error:
        raise Unreadable(path, f"this is no YAML that is read ({error})") from error


def read_xml(path: AnyPath, limits: Limits = LIMITS) -> Element:
    """The tree of an XML file, in the encoding that it declares, whichever Python knows (expat knows four).

    Raises Unreadable, also for DTDs and entities: a small file could fill the memory.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    data = read_bytes(path, limits)
    if data.count(b"<") > limits.text_values:
        raise Unreadable(path, f"it has more than the {limits.text_values:,} XML tags that are read")
    declared = DECLARED.match(data)
    encoding = declared.group(1).decode("ascii") if declared else None
    if encoding and encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32", "ucs")):
        encoding = None  # a declaration in single bytes is not in UTF-16, whatever it says
    try:
        return fromstring(decoded(data, encoding), forbid_dtd=True)
    except DefusedXmlException as error:
        raise Unreadable(path, "its XML defines entities or a DTD, which is refused") from error
    except (UnicodeDecodeError, LookupError) as error:
        raise Unreadable(path, f"no XML ({not_utf8(encoding)})") from error
    except (ParseError, ValueError, RecursionError) as error:
        raise Unreadable(path, f"no XML ({error})" if data else "the file is empty") from error


def _mb(size: int) -> str:
    return f"{size / 2**20:,.1f}"

"""Text as tables hold it, in every CHAR_FORMAT.

Padding is kept, and so are octets that the declared coding does not know: a
text decodes and encodes to the same octets.
"""

from __future__ import annotations

from typing import Any

from ansi_tables.errors import TableValueError
from ansi_tables.formats import DeviceFormat

#: CHAR_FORMAT to (codec, how it treats octets that it does not know).  4 and 5 as one
#: public reader has them (reserved in the 2008 edition); 0, 6 and 7 are reserved.
_CODINGS = {
    1: ("ascii", "surrogateescape"),
    2: ("latin-1", "strict"),
    3: ("utf-8", "surrogateescape"),
    4: ("utf-16", "surrogatepass"),
    5: ("utf-32", "surrogatepass"),
}
_RESERVED = ("latin-1", "strict")


class TextAsSent(str):
    """A text with octets that encode to no text, or not from this one."""

    octets: bytes

    def __new__(cls, value: str, octets: bytes) -> TextAsSent:
        """Join text and octets."""
        self = super().__new__(cls, value)
        self.octets = octets
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be copied and pickled with its octets."""
        return TextAsSent, (str(self), self.octets)


def coding_of(fmt: DeviceFormat) -> tuple[str, str]:
    """Give the codec of a device's texts and its way with octets it does not know."""
    codec, errors = _CODINGS.get(fmt.char_format, _RESERVED)
    if codec in ("utf-16", "utf-32"):
        codec += "-le" if fmt.data_order == "little" else "-be"
    return codec, errors


def decode_text(octets: bytes, coding: tuple[str, str]) -> str:
    """Decode a text with its padding."""
    codec, errors = coding
    try:
        text = octets.decode(codec, errors)
    except UnicodeDecodeError:
        return TextAsSent(octets.decode(codec, "replace"), octets)
    same = text.encode(codec, errors) == octets
    return text if same else TextAsSent(text, octets)


def encode_text(value: object, size: int, coding: tuple[str, str]) -> bytes:
    """Encode a text, padded with blanks; TableValueError when it does not fit."""
    if not isinstance(value, str):
        raise TableValueError(f"{value!r} is no text")
    codec, errors = coding
    try:
        octets = value.encode(codec, errors)
    except UnicodeEncodeError as error:
        raise TableValueError(f"{value!r} has characters that {codec} does not know") from error
    blank = " ".encode(codec)
    spare = size - len(octets)
    if spare < 0 or spare % len(blank):
        raise TableValueError(f"{len(octets)} octets of text, must fit {size}")
    return octets + blank * (spare // len(blank))

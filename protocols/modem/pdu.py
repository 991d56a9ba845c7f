"""Short messages as PDUs (3GPP 23.040): octets out, octets or text in, in parts where needed.

A message carries 140 octets; a longer one goes in parts of 134 with a
concatenation header, so that any network joins or carries them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from protocols.errors import LocalProtocolError, RemoteProtocolError

OCTETS, PART_OCTETS = 140, 134
#: Parts of one message; more would be dear, and slow.
MAX_PARTS = 8
MAX_OCTETS = MAX_PARTS * PART_OCTETS
#: Messages whose parts have not all come, and how long they are waited for.
MAX_WAITING = 64
JOIN_US = 600_000_000

_SUBMIT, _HEADER, _EIGHT_BIT = 0x01, 0x40, 0x04
_INTERNATIONAL, _NATIONAL, _ALPHANUMERIC = 0x91, 0x81, 0x50
#: The letters of the GSM alphabet that are those of ASCII; the others read as ``?``.
_SAME = set(range(0x20, 0x5B)) - {0x24, 0x40} | set(range(0x61, 0x7B)) | {0x0A, 0x0D}


@dataclass(frozen=True)
class Part:
    """Which part of how many; ``reference`` is the message's among those of its sender."""

    reference: int
    total: int
    number: int


@dataclass(frozen=True)
class Delivered:
    """A message, or a part of one, that came: its sender, and octets or text."""

    sender: str
    octets: bytes
    text: str | None = None
    part: Part | None = None


def is_number(text: str) -> bool:
    """Tell whether a text is a number that a message can be sent to."""
    digits = text.removeprefix("+")
    return digits.isascii() and digits.isdecimal() and 3 <= len(digits) <= 15


def submit(number: str, octets: bytes, reference: int) -> list[tuple[int, str]]:
    """Give the PDUs of a message with the length that AT+CMGS wants.

    LocalProtocolError for what is no telephone number, or for too many octets.
    """
    if not octets or len(octets) > MAX_OCTETS:
        raise LocalProtocolError(f"{len(octets)} octets, a message carries 1 to {MAX_OCTETS}")
    if not is_number(number):
        raise LocalProtocolError(f"{number!r:.40} is no number of a telephone")
    digits = number.removeprefix("+")
    kind = _INTERNATIONAL if number.startswith("+") else _NATIONAL
    address = bytes((len(digits), kind)) + _semi_octets(digits)
    if len(octets) <= OCTETS:
        bodies = [(0, octets)]
    else:
        total = -(-len(octets) // PART_OCTETS)
        bodies = [
            (
                _HEADER,
                bytes((5, 0, 3, reference & 0xFF, total, n + 1))
                + octets[n * PART_OCTETS : (n + 1) * PART_OCTETS],
            )
            for n in range(total)
        ]
    pdus = []
    for flags, body in bodies:
        head = bytes((_SUBMIT | flags, 0)) + address + bytes((0, _EIGHT_BIT, len(body)))
        pdus.append((len(head + body), ("00" + (head + body).hex()).upper()))
    return pdus


def delivered(pdu: str) -> Delivered:
    """Read a PDU of AT+CMGR or AT+CMGL; RemoteProtocolError when it is none."""
    try:
        octets = bytes.fromhex(pdu)
        at = 1 + octets[0]
        first, digits, kind = octets[at], octets[at + 1], octets[at + 2]
        end = at + 3 + (digits + 1) // 2
        sender = _number(octets[at + 3 : end], digits, kind)
        coding, size = octets[end + 1], octets[end + 9]
        body = octets[end + 10 :]
    except (ValueError, IndexError) as error:
        raise RemoteProtocolError(f"{pdu!r:.40} is no short message") from error
    if first & 3 or len(body) > OCTETS:
        raise RemoteProtocolError("a short message of another kind")
    header = body[: 1 + body[0]] if first & _HEADER and body else b""
    part = _part(header)
    if coding & 0x0C == _EIGHT_BIT:
        return Delivered(sender, body[len(header) : size], part=part)
    if coding & 0x0C:
        return Delivered(sender, b"", "", part)  # UCS2: no word of ours is written in it
    skipped = -(-8 * len(header) // 7)
    return Delivered(sender, b"", _seven_bit(body, size)[skipped:], part)


class PartJoiner:
    """Puts parts together; what never becomes whole is forgotten, and never more than a bound."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, int, int], tuple[int, dict[int, bytes]]] = (
            OrderedDict()
        )

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, one: Delivered, now_us: int) -> bytes | None:
        """Give the whole message when this makes it whole."""
        while self._waiting and now_us >= next(iter(self._waiting.values()))[0] + JOIN_US:
            self._waiting.popitem(last=False)
        part = one.part
        if part is None:
            return one.octets
        if not 1 <= part.number <= part.total <= MAX_PARTS:
            return None
        key = (one.sender, part.reference, part.total)
        _, parts = self._waiting.setdefault(key, (now_us, {}))
        parts[part.number] = one.octets
        if len(parts) < part.total:
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popitem(last=False)
            return None
        del self._waiting[key]
        return b"".join(parts[number] for number in sorted(parts))


def _semi_octets(digits: str) -> bytes:
    padded = digits + "F" * (len(digits) % 2)
    return bytes(int(padded[n + 1] + padded[n], 16) for n in range(0, len(padded), 2))


def _number(octets: bytes, digits: int, kind: int) -> str:
    if kind & 0x70 == _ALPHANUMERIC:
        return _seven_bit(octets, 4 * digits // 7)
    number = "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in octets)[:digits]
    if not number.isdecimal():
        raise ValueError("a digit is none")
    return ("+" if kind & 0x70 == 0x10 else "") + number


def _part(header: bytes) -> Part | None:
    """Find the concatenation element of a header, with a reference of 8 or 16 bits."""
    at = 1
    while at + 2 <= len(header):
        element, size = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + size]
        if (element, len(value)) in ((0, 3), (8, 4)):
            return Part(int.from_bytes(value[:-2], "big"), value[-2], value[-1])
        at += 2 + size
    return None


def _seven_bit(octets: bytes, count: int) -> str:
    bits = int.from_bytes(octets, "little")
    letters = [bits >> 7 * n & 0x7F for n in range(min(count, 8 * len(octets) // 7))]
    return "".join(chr(letter) if letter in _SAME else "?" for letter in letters)

"""A whole meter as a value: its tables, and how it behaved when it was cloned.

The file is ``smartmeter-image/1`` of :mod:`ansi_tables.snapshot` with more keys, each of which
may be missing:

``link``      ``identification`` (hex, the octets after the code), ``packet_octets``, ``packets``,
              ``bauds``; ``refusals``: services by name to a response code; ``past_end``: a
              read that crosses a table's end gives what exists; ``zero_count``: the code for a
              read of no octets; ``default_table``: what the default read gives.
``refused``   tables that could not be read at all, to the code that was answered last.
``locked``    tables that were read, or refused otherwise, with the password, to the code answered
              without it.
``unlisted``  the code for a table that ST-00 does not list.
``timings``   ``acknowledge_ms``, ``answer_ms``, and ``tables`` that took much longer.
``blanked``   what was left out: names of table elements whose octets are fill.
``passwords`` the password as hex, only where it was asked for.
``missing``   tables that were not reached; an image with them is taken up again.

Codes are written by name (``isc``).  Times stand on a coarse grid, so that a
clone of a clone is the same file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansi_tables import TableError, image_from_json
from ansi_tables.snapshot import IMAGE_FORMAT
from protocols.c1218.grant import MIN_PACKET_OCTETS
from protocols.datalink.packet import MAX_PACKET_OCTETS
from protocols.psem.codec import PASSWORD_OCTETS
from protocols.psem.codes import BAUD_CODES, ResponseCode
from protocols.psem.services import OPTIONAL_SERVICES
from smartmeter.base.errors import SettingsError

#: A delay longer than this would outlast the client's patience.
MAX_DELAY_MS = 5_000
MIN_IDENTIFICATION_OCTETS, MAX_IDENTIFICATION_OCTETS = 2, 55
#: Bauds of a device that was not asked for them: the speed at which every session begins.
START_BAUDS = (9600,)


@dataclass(frozen=True)
class LinkImage:
    """How a meter behaved below its tables."""

    identification: bytes = bytes((0, 1, 0, 0))
    packet_octets: int = 1024
    packets: int = 254
    bauds: tuple[int, ...] = START_BAUDS
    refusals: Mapping[str, ResponseCode] = field(default_factory=dict)
    past_end: bool = True
    zero_count: ResponseCode = ResponseCode.onp
    default_table: int = 1


@dataclass(frozen=True)
class Timings:
    """How long the meter took: to the ACK, from there to its answer, and for slow tables."""

    acknowledge_ms: int = 0
    answer_ms: int = 0
    tables: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MeterImage:
    """One meter, as it was."""

    tables: Mapping[int, bytes]
    identity: Mapping[str, Any] = field(default_factory=dict)
    link: LinkImage = field(default_factory=LinkImage)
    refused: Mapping[int, ResponseCode] = field(default_factory=dict)
    locked: Mapping[int, ResponseCode] = field(default_factory=dict)
    unlisted: ResponseCode = ResponseCode.iar
    timings: Timings = field(default_factory=Timings)
    blanked: tuple[str, ...] = ()
    passwords: tuple[bytes, ...] = field(default=(), repr=False)
    missing: tuple[int, ...] = ()

    def to_json(self) -> str:
        """Give the file's text: the same image gives the same text."""
        link = {
            "identification": self.link.identification.hex(),
            "packet_octets": self.link.packet_octets,
            "packets": self.link.packets,
            "bauds": list(self.link.bauds),
            "refusals": {name: code.name for name, code in sorted(self.link.refusals.items())},
            "past_end": self.link.past_end,
            "zero_count": self.link.zero_count.name,
            "default_table": self.link.default_table,
        }
        timings = {
            "acknowledge_ms": self.timings.acknowledge_ms,
            "answer_ms": self.timings.answer_ms,
            "tables": _by_number(self.timings.tables),
        }
        image: dict[str, Any] = {
            "format": IMAGE_FORMAT,
            "identity": dict(self.identity),
            "link": link,
            "timings": timings,
            "unlisted": self.unlisted.name,
            "locked": _by_number({n: code.name for n, code in self.locked.items()}),
            "refused": _by_number({n: code.name for n, code in self.refused.items()}),
            "blanked": list(self.blanked),
        }
        if self.passwords:
            image["passwords"] = [password.hex() for password in self.passwords]
        if self.missing:
            image["missing"] = sorted(self.missing)
        image["tables"] = _by_number({n: octets.hex() for n, octets in self.tables.items()})
        return json.dumps(image, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "image") -> MeterImage:
        """Read a file's text; SettingsError names the file, the key and the remedy."""
        try:
            tables, identity = image_from_json(text)
            image = json.loads(text)
            return _read(image, tables, identity)
        except TableError as error:
            raise SettingsError(name, str(error), "make one: smartmeter clone PORT FILE") from error
        except _Wrong as error:
            raise SettingsError(
                name, str(error), "mend that key, or leave it out for its default"
            ) from error


class _Wrong(Exception):
    """A key of the file holds what it may not."""


def _by_number(values: Mapping[int, Any]) -> dict[str, Any]:
    return {str(number): values[number] for number in sorted(values)}


def _read(image: Mapping[str, Any], tables: dict[int, bytes], identity: Any) -> MeterImage:
    if 0 not in tables:
        raise _Wrong('"tables" lacks "0": without ST-00 no meter can be served')
    default = MeterImage(tables)
    timings = _object(image, "timings")
    passwords = [_hex(f"passwords[{n}]", p) for n, p in enumerate(_list(image, "passwords"))]
    if any(len(password) > PASSWORD_OCTETS for password in passwords):
        raise _Wrong(f'"passwords": at most {PASSWORD_OCTETS} octets each')
    return MeterImage(
        tables,
        identity,
        _read_link(_object(image, "link")),
        _codes(image, "refused"),
        _codes(image, "locked"),
        _code("unlisted", image.get("unlisted", default.unlisted.name)),
        Timings(
            _integer("timings.acknowledge_ms", timings.get("acknowledge_ms", 0), 0, MAX_DELAY_MS),
            _integer("timings.answer_ms", timings.get("answer_ms", 0), 0, MAX_DELAY_MS),
            {
                _number("timings.tables", n): _integer(f"timings.tables.{n}", ms, 0, MAX_DELAY_MS)
                for n, ms in _object(timings, "tables").items()
            },
        ),
        tuple(str(name) for name in _list(image, "blanked")),
        tuple(passwords),
        tuple(_number("missing", n) for n in _list(image, "missing")),
    )


def _read_link(link: Mapping[str, Any]) -> LinkImage:
    default = LinkImage()
    identification = _hex("link.identification", link.get("identification", "00010000"))
    if not MIN_IDENTIFICATION_OCTETS <= len(identification) <= MAX_IDENTIFICATION_OCTETS:
        bounds = f"{MIN_IDENTIFICATION_OCTETS} to {MAX_IDENTIFICATION_OCTETS}"
        raise _Wrong(f'"link.identification": {bounds} octets')
    bauds = link.get("bauds", list(START_BAUDS))
    if not isinstance(bauds, list) or not all(isinstance(b, int) for b in bauds):
        raise _Wrong('"link.bauds" must be a list of baud rates')
    if unknown := [baud for baud in bauds if baud not in BAUD_CODES]:
        raise _Wrong(f'"link.bauds": {unknown[0]} is no baud rate of C12.18')
    refusals = {}
    for name, code in _object(link, "refusals").items():
        if name not in OPTIONAL_SERVICES:
            known = ", ".join(OPTIONAL_SERVICES)
            raise _Wrong(f'"link.refusals": {name!r:.40} is none of {known}')
        refusals[name] = _code(f"link.refusals.{name}", code)
    octets = link.get("packet_octets", default.packet_octets)
    past_end = link.get("past_end", default.past_end)
    if not isinstance(past_end, bool):
        raise _Wrong('"link.past_end" must be true or false')
    return LinkImage(
        identification,
        _integer("link.packet_octets", octets, MIN_PACKET_OCTETS, MAX_PACKET_OCTETS),
        _integer("link.packets", link.get("packets", default.packets), 1, 255),
        tuple(bauds),
        refusals,
        past_end,
        _code("link.zero_count", link.get("zero_count", default.zero_count.name)),
        _integer("link.default_table", link.get("default_table", default.default_table), 0, 0xFFFF),
    )


def _object(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise _Wrong(f'"{key}" must be an object')
    return value


def _list(parent: Mapping[str, Any], key: str) -> list[Any]:
    value = parent.get(key, [])
    if not isinstance(value, list) or len(value) > 1 << 16:
        raise _Wrong(f'"{key}" must be a list')
    return value


def _integer(key: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _Wrong(f'"{key}" must be an integer from {low} to {high}')
    return value


def _number(key: str, text: Any) -> int:
    try:
        number = int(text)
    except (ValueError, TypeError):
        number = -1
    if not 0 <= number < 1 << 16:
        raise _Wrong(f'"{key}": {text!r:.20} is no table number')
    return number


def _code(key: str, name: Any) -> ResponseCode:
    if isinstance(name, str) and name in ResponseCode.__members__ and name != "ok":
        return ResponseCode[name]
    raise _Wrong(f'"{key}": {name!r:.20} is no negative response code, such as "isc"')


def _codes(image: Mapping[str, Any], key: str) -> dict[int, ResponseCode]:
    return {_number(key, n): _code(f"{key}.{n}", c) for n, c in _object(image, key).items()}


def _hex(key: str, text: Any) -> bytes:
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError):
        raise _Wrong(f'"{key}" must be hexadecimal') from None

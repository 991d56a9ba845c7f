"""What a C12.18 device is to the server, and the choices that the standard leaves to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from protocols.datalink.timing import DEFAULT_TIMING, LinkChoices, Timing
from protocols.psem.codes import Refused as Refused
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Request
from protocols.quirks import Quirk


class Device(Protocol):
    """What stands behind a port: a meter's tables and their access rules.

    All calls carry the monotonic time, and answer at once.
    """

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        """Open a session for a user; gives no rights by itself."""

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        """Check a password of 20 octets and grant its rights."""

    def read(self, table: int, now_us: int) -> bytes:
        """Give a whole table image; raise Refused."""

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        """Write a whole table (offset None) or octets of it; raise Refused, changing nothing."""

    def session_ended(self, normally: bool, now_us: int) -> None:
        """The rights of the session are gone."""


@runtime_checkable
class IndexedDevice(Protocol):
    """A device that also knows the structure of its tables; without it, index reads are ``sns``."""

    def has_service(self, kind: type[Request]) -> bool:
        """Tell whether the device has a service of partial or default access at all."""

    def span(
        self, table: int, indices: tuple[int, ...], count: int, now_us: int
    ) -> tuple[int, int]:
        """Give offset and octets of ``count`` elements from a position on; raise Refused.

        An index write replaces the one element at its position: ``count`` 1.
        """

    def default_table(self) -> int:
        """Give the table of the default read."""


@runtime_checkable
class GuardedDevice(Protocol):
    """A device that says beforehand who may write: a malformed write is then refused rightly."""

    def check_write(self, table: int, now_us: int) -> None:
        """Raise Refused when the session may not write the table."""


@dataclass(frozen=True)
class DeviceChoices:
    """Where public sources disagree or are silent, one option each.

    * ``index_count_is_octets``: the count of an index read is octets, as in 1996.
    * ``zero_count``: the answer to an offset read of 0 octets.
    * ``bad_checksum``: the answer to a Write with a wrong table checksum.
    * ``wait_once``: Wait stretches one idle period, not all until the session ends.
    * ``terminate_in_base``: the answer to Terminate in Base state.
    * ``bad_packets_are_traffic``: packets with a wrong checksum restart the traffic time-out.
    * ``read_past_end``: a read that crosses a table's end gives what exists, not ``onp``.
    """

    index_count_is_octets: bool = False
    zero_count: ResponseCode = ResponseCode.onp
    bad_checksum: ResponseCode = ResponseCode.err
    wait_once: bool = True
    terminate_in_base: ResponseCode = ResponseCode.ok
    bad_packets_are_traffic: bool = False
    read_past_end: bool = True


DEFAULT_CHOICES = DeviceChoices()
DEFAULT_LINK_CHOICES = LinkChoices()


@dataclass(frozen=True)
class ServerOptions:
    """What the device grants, and the octets of its identification.

    * ``min_packet_octets``: a negotiated packet size is never smaller.
    * ``identification``: the whole answer after its code, for a device that says more than
      ``version`` and ``revision``.
    * ``refusals``: services that the device answers with a code in every state, as one that
      does without Negotiate, Wait or Security does.
    * ``tolerates``: quirks of clients that are no fault here (CRC_SWAPPED).
    """

    max_packet_octets: int = 1024
    max_packets: int = 254
    bauds: tuple[int, ...] = (9600, 19200, 38400, 57600, 115200)
    version: int = 1
    revision: int = 0
    identification: bytes | None = None
    refusals: Mapping[type[Request], int] = field(default_factory=dict)
    timing: Timing = DEFAULT_TIMING
    traffic_us: int = 6_000_000
    choices: DeviceChoices = DEFAULT_CHOICES
    link_choices: LinkChoices = DEFAULT_LINK_CHOICES
    tolerates: frozenset[Quirk] = frozenset()
    min_packet_octets: int = 64

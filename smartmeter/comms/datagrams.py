"""A socket for datagrams that are answered from the address that they came to.

A server with several addresses that listens on all of them must say which one it answers from:
whoever asked takes nothing from another.  The system tells, and is told, in ancillary data
(RFC 3542 for IPv6; Linux has the same for IPv4).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

Address = tuple[str | int, ...]
#: What came: its octets, from where, and to which address of ours (packed; empty: not known).
Take = Callable[[bytes, Address, bytes], None]

#: Linux; Python has no name for it.
_IP_PKTINFO = 8
_MAPPED = bytes(10) + b"\xff\xff"
_ROOM = 128
_MAX_OCTETS = 65_535
#: Datagrams that are read before others have their turn.
READ_AT_ONCE = 64
#: Datagrams that wait for the system to have room; more are lost, as any may be.
MAX_UNSENT = 1024


class DatagramSocket:
    """A bound socket in the loop, until it is closed."""

    def __init__(self, bound: socket.socket, take: Take) -> None:
        self.socket = bound
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[tuple[bytes, Address, bytes]] = deque(maxlen=MAX_UNSENT)
        self._is_closed = False
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)  # of one for both families, too
        if bound.family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._loop.add_reader(bound, self._readable)

    @property
    def name(self) -> Address:
        """Give the address that the socket is bound to."""
        name: Address = self.socket.getsockname()
        return name

    def is_closing(self) -> bool:
        """Tell whether nothing can be sent any more."""
        return self._is_closed

    def sendto(self, octets: bytes, address: Address, by: bytes = b"") -> None:
        """Send a datagram, from an address of ours where that is given."""
        if self._is_closed:
            return
        if self._unsent or not self._sent(octets, address, by):
            self._unsent.append((octets, address, by))
            self._loop.add_writer(self.socket, self._writable)

    def close(self) -> None:
        """End it; what waits is lost."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self.socket)
            self._loop.remove_writer(self.socket)
            self.socket.close()

    def _readable(self) -> None:
        for _ in range(READ_AT_ONCE):
            if self._is_closed:
                return
            try:
                octets, told, _, address = self.socket.recvmsg(_MAX_OCTETS, _ROOM)
            except OSError:
                return  # nothing more is there, or an earlier one of ours did not arrive
            self._take(octets, address, _came_to(told))

    def _writable(self) -> None:
        while self._unsent and self._sent(*self._unsent[0]):
            self._unsent.popleft()
        if not self._unsent:
            self._loop.remove_writer(self.socket)

    def _sent(self, octets: bytes, address: Address, by: bytes) -> bool:
        """Send; False when the system has no room now."""
        try:
            self.socket.sendmsg([octets], self._told(by), 0, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            if by:  # an address that is ours no more, or was everybody's
                return self._sent(octets, address, b"")
        return True

    def _told(self, by: bytes) -> list[tuple[int, int, bytes]]:
        if not by:
            return []
        if self.socket.family == socket.AF_INET6:
            by = by if len(by) == 16 else _MAPPED + by
            return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, by + bytes(4))]
        return [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=i4s4s", 0, by, bytes(4)))]


def _came_to(told: list[tuple[int, int, bytes]]) -> bytes:
    """Give the address of ours that a datagram came to, or that has where it went to many."""
    by_kind = {(level, kind): data for level, kind, data in told}
    if version_4 := by_kind.get((socket.IPPROTO_IP, _IP_PKTINFO)):
        return version_4[4:8]
    version_6 = by_kind.get((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO), b"")[:16]
    return b"" if version_6.startswith((b"\xff", _MAPPED)) else version_6

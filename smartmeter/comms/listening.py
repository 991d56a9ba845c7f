"""C12.22 over TCP where the host opens the connection: the node listens (RFC 6142, 3).

Anybody can connect, and send what looks like a message; nobody takes another's place by
that.  An answer goes to who asked; where several have asked by the same title and number, one
under security goes to all of them: who only names himself like the host has no use for it.  What
the node sends by itself goes to those that have shown a key, once one of them has answered such
a thing; while none has, to all: the host answers.  A key is shown by a request that the node
answers under security.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter, OrderedDict
from collections.abc import Callable

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import Apdu, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.security import CLEAR
from smartmeter.comms.bearer import BearerSettings, Connection, ip_address
from smartmeter.comms.inbox import Inbox
from smartmeter.comms.sockets import PATIENCE_S, keep_alive, listening_sockets
from smartmeter.comms.tcp import TcpConnection
from smartmeter.comms.tls import server_tls
from smartmeter.comms.tls_door import TlsDoor

#: Connections at once; for another the one that has shown and said the least is closed.
MAX_CANDIDATES = 8
#: Requests whose answers find back to who asked.
MAX_ASKED = 256
#: For so long hosts are let wait between two connections of the bearer, which rests for less.
KEPT_S = 5.0


class _Caller:
    """What one connection has shown."""

    def __init__(self) -> None:
        self.spoke = self.has_key = self.answered = False


class ListeningConnection:
    """A listener, and the connections on it; ``counts`` what came and what was refused.

    ``keep`` is given the sockets that it listened on when all that came have gone by themselves.
    """

    def __init__(self, counts: Counter[str], keep: Callable[[list[socket.socket]], None]) -> None:
        self._servers: list[asyncio.Server | TlsDoor] = []
        self._bound: list[socket.socket] = []
        self._keep = keep
        #: The one that was heard last at the end.
        self._all: OrderedDict[TcpConnection, _Caller] = OrderedDict()
        #: The connections that asked under a title and number, the latest at the end.
        self._asked: OrderedDict[tuple[ApTitle | None, int], list[TcpConnection]] = OrderedDict()
        self._counts = counts
        self._inbox = Inbox()
        self._opened, self._ended = asyncio.Event(), asyncio.Event()

    async def listen(self, bound: list[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Listen on bound sockets, and wait until a host has come."""
        self._bound = bound
        try:
            for one in bound:
                if tls is None:
                    self._servers.append(await asyncio.start_server(self._accept, sock=one.dup()))
                else:
                    door = TlsDoor(tls, self._spoken_to, self._counts, MAX_CANDIDATES)
                    door.open(one.dup())
                    self._servers.append(door)
            await self._opened.wait()
        except BaseException:
            self.close()
            raise

    def send(self, octets: bytes) -> None:
        """Send one APDU: an answer to who asked, another to all that may be the host."""
        for connection in self._askers(octets) or self._hosts():
            connection.send(octets)

    async def receive(self, take: Callable[[bytes], None]) -> None:
        """Give what arrives until all have gone."""
        self._inbox.open(take)
        await self._ended.wait()

    def close(self) -> None:
        """End it: listen no more, unless all have gone by themselves and others may come."""
        self._accept_no_more()
        bound, self._bound = self._bound, []
        if bound and self._ended.is_set():
            self._keep(bound)
        else:
            for one in bound:
                one.close()
        self._ended.set()
        for connection in self._all:
            connection.close()

    def _accept_no_more(self) -> None:
        for server in self._servers:
            server.close()

    def _askers(self, octets: bytes) -> list[TcpConnection]:
        """Give to whom an answer goes, if it is one and who asked is still there."""
        try:
            apdu = decode_apdu(octets)
        except ApduRejected:
            return []
        if not apdu.is_response:
            return []
        asked = self._asked.get((apdu.called, apdu.called_invocation_id or 0), [])
        askers = [one for one in asked if one in self._all]
        if apdu.is_segment:
            return askers
        if apdu.security_mode == CLEAR:  # as what is refused is, at once
            return askers[-1:]
        for one in askers:
            self._all[one].has_key = True
        return askers

    def _hosts(self) -> list[TcpConnection]:
        """Give the connections at whose other end the host may be."""
        trusted = {one: caller for one, caller in self._all.items() if caller.has_key}
        if any(caller.answered for caller in trusted.values()):
            return list(trusted)
        return list(self._all)

    def _make_room(self) -> None:
        """Close who has shown the least, and of these the oldest.

        Never the newest: strangers that say nothing would keep the host out.
        """
        shown = {one: (caller.has_key, caller.spoke) for one, caller in self._all.items()}
        least = min((one for one in shown if not self._may_be_silent(one)), key=shown.__getitem__)
        self._counts["closed to make room"] += 1
        del self._all[least]
        least.close()

    def _may_be_silent(self, connection: TcpConnection) -> bool:
        """Tell whether this is the one that may only answer: the first, while none is trusted."""
        return connection is next(iter(self._all)) and len(self._hosts()) == len(self._all)

    def _spoken_to(self) -> asyncio.BaseProtocol:
        """Give what asyncio's own server makes for a connection."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = TcpConnection(reader, writer, self._counts)
        if self._ended.is_set():
            connection.close()
            return
        keep_alive(writer.get_extra_info("socket"))
        self._counts["connections"] += 1
        if len(self._all) >= MAX_CANDIDATES:
            self._make_room()
        self._all[connection] = _Caller()
        self._opened.set()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PATIENCE_S, self._lost_patience, connection)
        # A task of a server ends with it: asyncio would print one that ends as cancelled.
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await connection.receive(lambda octets: self._heard(connection, octets))
        timer.cancel()
        self._all.pop(connection, None)
        connection.close()
        if not self._all:  # else any of the others may be the host
            self._accept_no_more()
            self._ended.set()

    def _heard(self, connection: TcpConnection, octets: bytes) -> None:
        caller = self._all.get(connection)
        if caller is None:
            return  # it was closed to make room
        caller.spoke = True
        self._all.move_to_end(connection)
        with contextlib.suppress(ApduRejected):
            self._note(decode_apdu(octets), connection, caller)
        self._inbox.put(octets)

    def _note(self, apdu: Apdu, connection: TcpConnection, caller: _Caller) -> None:
        if apdu.is_response:
            caller.answered = True
            return
        name = apdu.calling, apdu.calling_invocation_id
        others = [one for one in self._asked.get(name, ()) if one in self._all]
        self._asked[name] = [one for one in others if one is not connection] + [connection]
        self._asked.move_to_end(name)
        if len(self._asked) > MAX_ASKED:
            self._asked.popitem(last=False)

    def _lost_patience(self, connection: TcpConnection) -> None:
        caller = self._all.get(connection)
        if caller is not None and not caller.spoke and not self._may_be_silent(connection):
            self._counts["closed too-slow"] += 1
            connection.close()


class ListeningBearer:
    """Listens at an address, with TLS if a certificate is set; stands by for a host."""

    stands_by = True

    def __init__(self, settings: BearerSettings) -> None:
        self.settings = settings
        #: What came, and what was refused, by reason, since the start.
        self.counts: Counter[str] = Counter()
        self._address = ip_address(settings.address)
        #: What was listened on last, while the next connection of the bearer is not begun: who
        #: comes meanwhile waits, instead of being refused.
        self._kept: list[socket.socket] = []
        self._letting_go: asyncio.TimerHandle | None = None
        self._tls = server_tls(settings.tls) if settings.speaks_tls else None

    async def connect(self) -> Connection:
        """Wait until a host has opened a connection; OSError when the address is taken."""
        connection = ListeningConnection(self.counts, self._keep)
        if self._letting_go is not None:
            self._letting_go.cancel()
        bound, self._kept = self._kept, []
        bound = bound or listening_sockets(*self._address, socket.SOCK_STREAM)
        await connection.listen(bound, self._tls)
        return connection

    def _keep(self, bound: list[socket.socket]) -> None:
        self._kept = bound
        self._letting_go = asyncio.get_running_loop().call_later(KEPT_S, self._let_go)

    def _let_go(self) -> None:
        bound, self._kept = self._kept, []
        for one in bound:
            one.close()

"""A relay as an asyncio host: nodes on a listener, the next relay or the TMS on a connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from pathlib import Path
from typing import cast

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import KeyRing, NoKeys, SecurityState
from protocols.c1222.native_address import NativeAddress
from protocols.c1222.node import Node, NodeSettings
from protocols.c1222.node_events import MAX_APDU_OCTETS
from protocols.c1222.registrar import Registrar
from protocols.c1222.relay import ROUTE_US, Relay
from protocols.c1222.relay_services import IN_CLEAR, IN_CLEAR_WITH_KEYS
from protocols.c1222.ways import RelayOwner
from protocols.transports.port import system_words
from smartmeter.base.clock import Calendar, follow_wall, monotonic_us, wall_utc_us
from smartmeter.base.errors import StorageError
from smartmeter.base.file import make_folder
from smartmeter.comms.bearer import Bearer, BearerSettings, Connection
from smartmeter.comms.bearers import make_bearer
from smartmeter.comms.event_loop import ended
from smartmeter.comms.known_ways import KnownWays
from smartmeter.comms.listener import Listener
from smartmeter.comms.paths import Path as ApduPath
from smartmeter.comms.paths import TcpPath, native_address_of
from smartmeter.comms.registrations import RegistrationFile
from smartmeter.comms.standing import Standing, Tell, tell_nobody
from smartmeter.comms.tls import TlsFiles, server_tls
from smartmeter.comms.tls_renewal import ClientTls, keep_renewed
from smartmeter.comms.udp import UdpBearer
from smartmeter.comms.way_finder import WayFinder, place_of

TICK_S = 0.25
RECONNECT_S = 1.0
#: Nodes that are let go in one tick when the way up is another one: they come again.
MAX_LET_GO = 200
UPSTREAM = "upstream"


def _address_of(path: Hashable, own: bool) -> bytes:
    return native_address_of(cast(ApduPath, path), own) if path != UPSTREAM else b""


class RelayHost:
    """One relay; a master relay when it is given the domain in which it gives titles.

    ``data`` is the folder where a master keeps its registrations, and another where it has heard
    the nodes of datagrams.
    With ``keys`` nodes register and leave secured only, each under its own title.
    """

    def __init__(
        self,
        title: ApTitle,
        upstream: str | None = None,
        domain: ApTitle | None = None,
        data: Path | None = None,
        tls: TlsFiles | None = None,
        listen_tls: bool = False,
        keys: KeyRing | None = None,
        segment_octets: int | None = None,
        tell: Tell = tell_nobody,
    ) -> None:
        self.title = title
        self._way_up = Standing(f"upstream {upstream}", tell)
        self._tell = tell
        self._storing = Standing("list of registrations", tell, "takes nothing", True)
        if domain is None:
            self._storing = Standing("list of ways", tell, "is not kept", True)
        now_us, utc_us = monotonic_us(), wall_utc_us()
        settings = NodeSettings(clear_services=IN_CLEAR if keys is None else IN_CLEAR_WITH_KEYS)
        # Ids need no memory: a fresh start by the clock is unlike any before.
        state = SecurityState(utc_us // 1000 & 0x7FFFFFFF)
        self._calendar = Calendar(utc_us, 1, now_us)
        node = Node(title, keys or NoKeys(), self._calendar, state, settings)
        self._registrar = Registrar(domain, own=title) if domain is not None else None
        self._file: RegistrationFile | None = None
        self._known_ways: KnownWays | None = None
        if data is not None:
            self._take_up(data, utc_us - now_us, now_us)
        self._tls, self._listen_tls = tls or TlsFiles(), listen_tls
        node.joins_segments = segment_octets is not None
        self.listener = Listener(self, MAX_APDU_OCTETS, segment_octets=segment_octets)
        to_nodes = ClientTls(self._tls) if listen_tls else None
        self.finder = WayFinder(self._native, self.listener, self, to_nodes)
        owner = RelayOwner(
            seek=self.finder.seek,
            call=self.finder.call,
            learned=self._learned,
            address_of=_address_of,
        )
        self.relay = Relay(node, self._registrar, UPSTREAM if upstream else None, owner=owner)
        self._bearer: Bearer | None = None
        if upstream is not None:
            way = BearerSettings(
                UPSTREAM, upstream, tls=self._tls, node=str(title), segment_octets=segment_octets
            )
            # A listener tells of the same files by itself.
            self._bearer = make_bearer(way, tell_nobody if listen_tls else tell)
        self._connection: Connection | None = None
        #: Connections whose nodes nobody above knows any more.
        self._unknown_above: deque[TcpPath] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    def _take_up(self, data: Path, begun_utc_us: int, now_us: int) -> None:
        """Take up what a folder keeps: a master's registrations, or another's ways to nodes."""
        make_folder(data)
        if self._registrar is not None:
            self._file = RegistrationFile(data / "registrations.jsonl", begun_utc_us)
            self._registrar.load(self._file.load(), now_us)
            return
        self._known_ways = KnownWays(data / "ways.jsonl", begun_utc_us, ROUTE_US, now_us)
        if lost := self._known_ways.left_out:
            self._tell(f"{data / 'ways.jsonl'}: {lost} damaged ways to nodes were left out")

    async def start(self, host: str, port: int) -> None:
        """Listen on TCP and UDP, or with TLS on TCP alone; SettingsError when it cannot be."""
        context = server_tls(self._tls) if self._listen_tls else None
        await self.listener.listen(host, port, context)
        if context is not None:
            renewing = keep_renewed(context, self._tls, self._tell)
            self._tasks.append(asyncio.create_task(renewing))
        self._tasks.append(asyncio.create_task(self._tick()))
        if isinstance(self._bearer, UdpBearer):
            self._bearer.own = self.listener.shared_udp_address()
        if self._bearer is not None:
            self._tasks.append(asyncio.create_task(self._keep_upstream(self._bearer)))

    @property
    def address(self) -> tuple[str, int]:
        """Give host and port that are listened on."""
        return self.listener.tcp_address

    @property
    def counts(self) -> dict[str, int]:
        """Give what passed and what was refused, by reason, since the start."""
        return {**self.listener.counts, **self.relay.node.counts, **self.relay.counts}

    @property
    def registrations(self) -> int:
        """Give how many nodes a master relay has on its list; 0 for another."""
        return len(self._registrar) if self._registrar is not None else 0

    @property
    def connected(self) -> bool:
        """Tell whether the way upstream is open."""
        return self._connection is not None

    async def stop(self) -> None:
        """End: close all connections."""
        await self.finder.stop()
        for error in await ended(*self._tasks):
            raise error
        await self.listener.close()
        for file in (self._file, self._known_ways):
            if file is not None:
                file.close()

    def _native(self, title: ApTitle) -> NativeAddress | None:
        if self._known_ways is not None:
            return self._known_ways.place(title, monotonic_us())
        entry = self._registrar.find(title) if self._registrar is not None else None
        if entry is None:
            return None
        return place_of(entry.connection_type, entry.address, entry.heard_at)

    # What the listener tells.

    def receive(self, path: Hashable, octets: bytes) -> None:
        """Take one APDU from a node."""
        self.relay.receive(path, octets, monotonic_us())

    def received(self) -> None:
        """Send what there is to send."""
        self._flush()

    def closed(self, path: Hashable) -> None:
        """A node's connection has gone."""
        self.relay.path_failed(path)
        self._flush()

    def refused(self, path: Hashable, reason: str) -> None:
        """A connection carried what is no message; the listener has counted it."""

    # What the finder tells.

    def way_found(self, title: ApTitle, path: Hashable) -> None:
        """A node that was looked for is reached by ``path``."""
        self.relay.way_found(title, path, monotonic_us())
        self._flush()

    def way_lost(self, title: ApTitle) -> None:
        """A node that was looked for cannot be reached."""
        self.relay.way_lost(title)
        self._flush()

    # Inside.

    def _flush(self) -> None:
        """Make registrations and ways durable, then send."""
        relay, changes = self.relay, self.relay.changes()
        if self._file is not None and relay.registrar is not None and changes:
            try:
                self._file.write(changes, relay.registrar)
                self._storing.works()
            except StorageError as error:
                # Not durable, so not answered: the nodes ask again.
                relay.counts["not stored"] += len(relay.outgoing())
                self._storing.fails(str(error))
        if self._known_ways is not None:
            self._write_ways(self._known_ways)
        for path, octets in relay.outgoing():
            if path != UPSTREAM:
                cast(ApduPath, path).send(octets)
            elif self._connection is not None:
                self._connection.send(octets)
            else:
                self.relay.path_failed(path)
                asyncio.get_running_loop().call_soon(self._flush)

    def _learned(self, title: ApTitle, path: Hashable | None) -> None:
        if self._known_ways is not None:
            address = _address_of(path, False) if path is not None else b""
            self._known_ways.learned(title, address, monotonic_us())

    def _write_ways(self, known: KnownWays) -> None:
        try:
            if known.write():
                self._storing.works()
        except StorageError as error:
            self._storing.fails(str(error))  # what passes is no less true

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_us = monotonic_us()
            self._follow_wall(now_us)
            self.relay.expire(now_us)
            self._flush()
            for _ in range(min(MAX_LET_GO, len(self._unknown_above))):
                self.listener.counts["let go to register anew"] += 1
                self._unknown_above.popleft().close()

    def _follow_wall(self, now_us: int) -> None:
        """Go by the wall clock that was set: a board may have none when the power comes back."""
        moved_us = self._calendar.moved_us
        follow_wall(self._calendar, "", wall_utc_us(), now_us)
        begun_utc_us = self._calendar.utc_us(0)
        if self._calendar.moved_us == moved_us or begun_utc_us is None:
            return
        try:
            if self._file is not None and self._registrar is not None:
                self._file.clock_was_set(begun_utc_us, self._registrar)
            if self._known_ways is not None:
                self._known_ways.clock_was_set(begun_utc_us)
        except StorageError as error:
            self._storing.fails(str(error))

    async def _keep_upstream(self, bearer: Bearer) -> None:
        was_open = False
        while True:
            try:
                connection = self._connection = await bearer.connect()
                # TLS 1.3 refuses a certificate later, datagrams may reach nobody: see what comes.
                if not bearer.settings.address.startswith(("tls:", "udp:")):
                    self._way_up.works()
                if was_open:
                    self._let_nodes_go()
                was_open = True
                self.relay.ask_above(monotonic_us())
                self._flush()
                try:
                    await connection.receive(self._from_upstream)
                finally:
                    connection.close()
                    self._connection = None
                    self._unknown_above.clear()  # they would come anew to nothing
                    self.relay.path_failed(UPSTREAM)
                    self._flush()
            except OSError as error:
                self._way_up.fails(system_words(error))
            await asyncio.sleep(RECONNECT_S)

    def _let_nodes_go(self) -> None:
        """Have the nodes below come anew: with the connection upstream all ways to them ended.

        A node that opens a connection registers on it, and so tells every relay where it is; one
        that keeps its old one would be reached by nobody above until it has something to say.
        """
        below = self.relay.paths_below()
        known = [path for path in self.listener.paths if path in below]
        self._unknown_above = deque(known)

    def _from_upstream(self, octets: bytes) -> None:
        self._way_up.works()
        self.relay.receive(UPSTREAM, octets, monotonic_us())
        self._flush()

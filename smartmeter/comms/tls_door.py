"""Where connections with TLS are let in: who shakes hands has little time, and little room.

A handshake takes some 80 KiB before anything is known of the peer, and asyncio's own
servers begin as many as come, each for a minute.  Here their number has a limit: when it is
reached the oldest makes room, for an honest one is over in two round trips.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl  # megabytes of a small board, which only who speaks TLS loads

MAX_HANDSHAKES = 500
HANDSHAKE_S = 10.0
BACKLOG = 1024
#: The system has no sockets left: some will be given back.
PAUSE_S = 1.0


class TlsDoor:
    """Accepts on bound sockets until it is closed.

    ``protocol`` makes what a peer speaks to once its handshake is done.  Handshakes that
    failed (no TLS, a wrong certificate, too slow) are counted as ``refused tls``, those that
    made room as ``refused tls full``.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        protocol: Callable[[], asyncio.BaseProtocol],
        counts: Counter[str],
        most: int = MAX_HANDSHAKES,
    ) -> None:
        self._context, self._protocol = context, protocol
        self._counts, self._most = counts, most
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes: dict[socket.socket, asyncio.Task[None]] = {}

    def open(self, bound: socket.socket) -> None:
        """Listen on a socket that is bound and does not block; it is closed with the door."""
        bound.listen(BACKLOG)
        self._accepting.append(asyncio.create_task(self._accept(bound)))

    def close(self) -> None:
        """Accept no more, and give up the handshakes under way."""
        for task in (*self._accepting, *self._handshakes.values()):
            task.cancel()

    async def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with bound:
            while True:
                try:
                    peer, _ = await loop.sock_accept(bound)
                except OSError:
                    await asyncio.sleep(PAUSE_S)
                    continue
                if len(self._handshakes) >= self._most:
                    self._counts["refused tls full"] += 1
                    oldest = next(iter(self._handshakes))
                    self._handshakes.pop(oldest).cancel()
                self._handshakes[peer] = asyncio.create_task(self._shake_hands(peer))

    async def _shake_hands(self, peer: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._protocol, peer, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError:
            self._counts["refused tls"] += 1
            with contextlib.suppress(OSError):
                peer.close()
        finally:
            self._handshakes.pop(peer, None)

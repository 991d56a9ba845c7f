"""Ports that a test names before anybody listens there, or where nobody is to listen."""

import os
import random
import socket

#: Below those that Linux gives to whoever asks for any, or connects (``ip_local_port_range``): no
#: other test comes by one of these before it is used, or while what listened there is away.
FIRST, BELOW = 12_000, 32_000
SHARES = 8
_SHARE = (BELOW - FIRST) // SHARES
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
#: Another suite on the same machine begins elsewhere.
_next = random.SystemRandom().randrange(_SHARE)


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody has; each worker has a share, and gives none twice."""
    global _next
    for _ in range(_SHARE):
        port = FIRST + _worker * _SHARE + _next
        _next = (_next + 1) % _SHARE
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind(("127.0.0.1", port))
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")

"""What the shell around a head-end, with its sockets, knows of paths and does for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from protocols.c1222.ap_title import ApTitle


@dataclass
class Shell:
    """In memory: no path is slow or loses anything, none has an address, nobody can be called.

    * ``address_of``: the native address of a path's far end; with True our own, as seen there.
    * ``seek``: begins to call a node that has no connection, and tells whether there is hope.
    * ``is_slow``: tells that what goes by a path may lie in the network for a while.
    * ``is_lossy``: tells that a path loses messages: what is asked over it is sent again.
    """

    address_of: Callable[[Hashable, bool], bytes] = lambda path, own: b""
    seek: Callable[[ApTitle], bool] = lambda title: False
    is_slow: Callable[[Hashable], bool] = lambda path: False
    is_lossy: Callable[[Hashable], bool] = lambda path: False

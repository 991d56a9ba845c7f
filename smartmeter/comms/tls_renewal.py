"""Certificates that were renewed on disk are taken up without a restart.

A listener, which serves everybody with one context, looks every few seconds; who opens a
connection looks each time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from smartmeter.base.errors import SettingsError
from smartmeter.comms.standing import Tell, tell_nobody
from smartmeter.comms.tls import TlsFiles, client_tls, load_files, server_tls

if TYPE_CHECKING:
    import ssl  # megabytes of a small board, which only who speaks TLS loads

#: How often it is looked.
LOOK_S = 10.0
RENEWED = "TLS certificate: renewed"


async def keep_renewed(context: ssl.SSLContext, files: TlsFiles, tell: Tell) -> None:
    """Take a listener's files up again whenever they have changed, until cancelled.

    Connections that begin then have the new certificate; those that are open stay.  A pair that
    does not fit, as one of which half is written, is told and looked at again.
    """
    known, told = _stamps(files), ""
    while True:
        await asyncio.sleep(LOOK_S)
        found = _stamps(files)
        if found == known:
            continue
        try:
            server_tls(files)  # all of it is right before anything of it counts
            load_files(context, files)
        except SettingsError as error:
            text = _stays(error)
        else:
            known, text = found, RENEWED
        if text != told:
            tell(text)
        told = "" if found == known else text


class ClientTls:
    """What who connects shows and trusts; SettingsError at first for files that are wrong.

    Files that are wrong later are told once, and that they are right again.
    """

    def __init__(self, files: TlsFiles, tell: Tell = tell_nobody) -> None:
        self._files, self._known = files, _stamps(files)
        self._told, self._tell = self._known, tell
        self._context = client_tls(files)

    def context(self) -> ssl.SSLContext:
        """Give the context of a connection that begins now.

        Files that do not fit since, as a pair of which half is written, are looked at again by the
        next connection; until then the ones before count.
        """
        found = _stamps(self._files)
        if found != self._known:
            try:
                self._context = client_tls(self._files)
            except SettingsError as error:
                if found != self._told:
                    self._tell(_stays(error))
            else:
                if self._told != self._known:
                    self._tell(RENEWED)
                self._known = found
            self._told = found
        return self._context


def _stays(error: SettingsError) -> str:
    return f"TLS certificate: the one before stays ({error})"


def _stamps(files: TlsFiles) -> list[tuple[int, int] | None]:
    """Give what changes when a file is written or another takes its name; None: not there."""
    stamps: list[tuple[int, int] | None] = []
    for path in (files.ca, files.certificate, files.key):
        try:
            stamps.append((path.stat().st_mtime_ns, path.stat().st_ino) if path else None)
        except OSError:
            stamps.append(None)
    return stamps

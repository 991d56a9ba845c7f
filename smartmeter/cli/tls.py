"""The options of TLS, for verbs that listen or connect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from smartmeter.comms.tls import TlsFiles

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False)


def tls_options(verb: _Verb) -> _Verb:
    """Give a verb the options; :func:`tls_files` takes them."""
    for option in (
        click.option("--tls-ca", type=_FILE, help="PEM: peers must show a certificate of it."),
        click.option("--tls-key", type=_FILE, help="PEM: the key of the own certificate."),
        click.option("--tls-certificate", type=_FILE, help="PEM: the own certificate; TLS is on."),
    ):
        verb = option(verb)
    return verb


def tls_files(tls_certificate: str | None, tls_key: str | None, tls_ca: str | None) -> TlsFiles:
    """Give the files; click.UsageError when one is missing."""
    if (tls_certificate is None) != (tls_key is None):
        raise click.UsageError("--tls-certificate and --tls-key belong together")
    ca, certificate, key = (
        Path(name) if name is not None else None for name in (tls_ca, tls_certificate, tls_key)
    )
    return TlsFiles(ca, certificate, key)

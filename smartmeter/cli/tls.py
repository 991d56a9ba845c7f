"""The options of TLS, for verbs that listen or connect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from smartmeter.cli.file_name import FILE_THERE
from smartmeter.comms.tls import TlsFiles

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def tls_options(verb: _Verb) -> _Verb:
    """Give a verb the options; :func:`tls_files` takes them."""
    for option in (
        click.option("--tls-ca", type=FILE_THERE, help="PEM: peers must show a certificate of it."),
        click.option("--tls-key", type=FILE_THERE, help="PEM: the key of the own certificate."),
        click.option(
            "--tls-certificate", type=FILE_THERE, help="PEM: the own certificate; TLS is on."
        ),
    ):
        verb = option(verb)
    return verb


def dialling_tls_options(verb: _Verb) -> _Verb:
    """Give a verb that only connects the options; :func:`tls_files` takes them."""
    for option in (
        click.option("--tls-key", type=FILE_THERE, help="TLS: the key of the own certificate."),
        click.option("--tls-certificate", type=FILE_THERE, help="TLS: the own certificate (PEM)."),
        click.option(
            "--tls-ca", type=FILE_THERE, help="TLS: whom to trust (PEM); default: the system's."
        ),
    ):
        verb = option(verb)
    return verb


def tls_files(
    tls_certificate: str | None,
    tls_key: str | None,
    tls_ca: str | None,
    dialled: Iterable[str | None] = (),
    *,
    listens: bool,
) -> TlsFiles:
    """Give the files; click.UsageError when one is missing, or none would be used.

    ``dialled`` are the addresses that the verb connects to; ``listens``: others connect to it.
    """
    if (tls_certificate is None) != (tls_key is None):
        raise click.UsageError("--tls-certificate and --tls-key belong together")
    speaks = any(
        (address or "").startswith(("tls:", "mqtts:", "c1222+tls:")) for address in dialled
    )
    if (tls_ca or tls_certificate) and not speaks and not (listens and tls_certificate):
        # Whoever gives them must not believe that strangers are kept away.
        remedy = "connect to tls:HOST:PORT, or read c1222+tls://HOST[:PORT]/APTITLE"
        if listens:
            remedy = (
                "give --tls-certificate and --tls-key where it listens, or connect to tls:HOST:PORT"
            )
        raise click.UsageError(f"TLS files, but nothing here speaks TLS; {remedy}")
    ca, certificate, key = (
        Path(name) if name is not None else None for name in (tls_ca, tls_certificate, tls_key)
    )
    return TlsFiles(ca, certificate, key)

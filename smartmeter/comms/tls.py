"""TLS below C12.22 on the TCP bearer, from files, with certificates on both ends if wanted.

It hides titles and kinds of messages and has forward secrecy; it never takes
the place of C12.22's own security (RFC 6142, 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protocols.transports.port import system_words
from smartmeter.base.errors import SettingsError

if TYPE_CHECKING:
    import ssl  # megabytes of a small board, which only who speaks TLS loads

#: OpenSSL's own words are a number of a line.
_BARE = "there is no certificate in it, or no key for it"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: whom to trust (the system's authorities if None), and the own certificate."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def server_tls(files: TlsFiles) -> ssl.SSLContext:
    """Give the context of a listener; with ``ca``, who connects must show a certificate of it."""
    import ssl

    if files.certificate is None or files.key is None:
        raise SettingsError("TLS", "certificate and key belong together", "give both files")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_files(context, files)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(files: TlsFiles) -> ssl.SSLContext:
    """Give the context of who connects; the name in the server's certificate is checked."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.ca is None:
        context.load_default_certs()
    load_files(context, files)
    return context


def load_files(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Load the files; SettingsError names the one that is wrong."""
    place = None
    try:
        for place in filter(None, (files.key, files.certificate, files.ca)):
            place.open("rb").close()  # TLS does not say which of two it cannot read
        place = files.certificate
        if files.certificate is not None:
            context.load_cert_chain(files.certificate, files.key, _no_pass_phrase)
        place = files.ca
        if files.ca is not None:
            context.load_verify_locations(files.ca)
    except OSError as error:  # what TLS itself has to say is one, too
        fault = _BARE if "PEM lib" in str(error) else system_words(error)
        raise SettingsError(f"TLS file {place}", fault, "give PEM files that fit") from error


def _no_pass_phrase() -> str:
    """Without it OpenSSL would ask whoever sits at the terminal, and wait."""
    raise OSError("its key has a pass phrase, which nobody could type when it starts by itself")

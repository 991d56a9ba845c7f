"""Certificates of an authority of our own, and a port that speaks TLS with them."""

import contextlib
import datetime
import ipaddress
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smartmeter.comms.tls import TlsFiles, server_tls


def make_authority(folder: Path, name: str, days: int = 1) -> TlsFiles:
    """Make an authority and one certificate of it for 127.0.0.1; give the files.

    Both end in so many days, or have ended.
    """
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def built(who: x509.Name, public: ec.EllipticCurvePublicKey, is_ca: bool) -> bytes:
        builder = x509.CertificateBuilder(issuer, who, public, x509.random_serial_number())
        builder = builder.not_valid_before(end - datetime.timedelta(days=2)).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = builder.add_extension(local, critical=False).sign(authority, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)

    files = TlsFiles(*(folder / f"{name}.{kind}" for kind in ("ca", "pem", "key")))
    assert files.ca and files.certificate and files.key
    files.ca.write_bytes(built(issuer, authority.public_key(), True))
    files.certificate.write_bytes(built(subject, key.public_key(), False))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@contextlib.contextmanager
def speaking_tls(files: TlsFiles, seen: list[object] | None = None) -> Iterator[int]:
    """Speak TLS, and nothing in it, on a port; with the alerts that asyncio leaves out.

    Who has come stands in ``seen``.
    """

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, who = door.accept()
                if seen is not None:
                    seen.append(who)
                with line, contextlib.suppress(OSError):
                    server_tls(files).wrap_socket(line, server_side=True).recv(100)

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()

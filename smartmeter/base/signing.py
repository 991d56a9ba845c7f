"""Signatures of firmware images: Ed25519, the one place that touches the library for it.

The library is loaded for the first signature: a board that gets no upgrade has
no room for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_OCTETS, SIGNATURE_OCTETS = 32, 64


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is that of the key's owner; False for octets that are no key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def sign(private_key: bytes, message: bytes) -> bytes:
    """Give the signature of 64 octets; ValueError for a private key that is not of 32 octets."""
    return _private(private_key).sign(message)


def public_key(private_key: bytes) -> bytes:
    """Give the public key of a private key."""
    return _private(private_key).public_key().public_bytes_raw()


def _private(key: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key)

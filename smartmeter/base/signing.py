"""Signatures of firmware images: Ed25519, the one place that touches the library for it."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_OCTETS, SIGNATURE_OCTETS = 32, 64


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is that of the key's owner; False for a key that is none."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def sign(private_key: bytes, message: bytes) -> bytes:
    """Give the signature of 64 octets; ValueError for a private key that is not of 32 octets."""
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(message)


def public_key(private_key: bytes) -> bytes:
    """Give the public key of a private key."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()

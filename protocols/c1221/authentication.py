"""Both ends of a call prove a key: single DES over the device's ticket (C12.21, 5.4).

Single DES is broken as a cipher: this is for devices that know nothing else.
It is computed as triple DES with one key three times, which is the same.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from protocols.errors import LocalProtocolError

#: Octets of a key (with its parity bits, which do not count), a ticket and a proof.
BLOCK_OCTETS = 8


def proof(key: bytes, block: bytes) -> bytes:
    """Give E(key, block): of the ticket by the client, of the client's proof by the device."""
    if len(key) != BLOCK_OCTETS or len(block) != BLOCK_OCTETS:
        fault = f"a key of {len(key)} and a block of {len(block)} octets"
        raise LocalProtocolError(f"{fault}: DES takes {BLOCK_OCTETS} of each")
    # One block at a time has nothing that a mode could chain.
    cipher = Cipher(TripleDES(3 * key), modes.ECB())
    encryptor = cipher.encryptor()
    return encryptor.update(block) + encryptor.finalize()

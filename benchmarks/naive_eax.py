"""EAX' as one would write it first: everything made anew for every message."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 16


def _double(block: bytes) -> bytes:
    number = int.from_bytes(block, "little") << 1
    if number >> 128:
        number = (number & ((1 << 128) - 1)) ^ 0x87
    return number.to_bytes(BLOCK, "little")


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right[:size], "big")).to_bytes(size, "big")


class NaiveEaxPrime:
    """One message's worth of EAX'."""

    def __init__(self, key: bytes) -> None:
        self._aes = algorithms.AES(key)
        zero = Cipher(self._aes, modes.ECB()).encryptor().update(bytes(BLOCK))
        self._d = _double(zero)
        self._q = _double(self._d)

    def seal(self, header: bytes, plain: bytes) -> tuple[bytes, bytes]:
        """Encrypt and authenticate."""
        tag = self._cmac(self._d, header)
        counter = bytearray(tag)
        counter[12] &= 0x7F
        counter[14] &= 0x7F
        cipher = Cipher(self._aes, modes.CTR(bytes(counter))).encryptor().update(plain)
        return cipher, _xor(tag, self._cmac(self._q, cipher))[12:]

    def _cmac(self, start: bytes, data: bytes) -> bytes:
        mask = self._d
        if not data or len(data) % BLOCK:
            data += b"\x80" + bytes(-(len(data) + 1) % BLOCK)
            mask = self._q
        data = data[:-BLOCK] + _xor(data[-BLOCK:], mask)
        return Cipher(self._aes, modes.CBC(start)).encryptor().update(data)[-BLOCK:]

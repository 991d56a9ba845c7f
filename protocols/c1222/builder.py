"""Build APDUs: elements in canonical order, titles relative, key id and IV always sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import (
    APDU_TAG,
    authentication_element,
    integer_element,
    length_octets,
    tlv,
)
from protocols.c1222.security import AUTHENTICATED, CIPHERTEXT, MAC_OCTETS, EaxPrime
from protocols.errors import LocalProtocolError

#: Bits of the calling AE-qualifier.
TEST, URGENT, NOTIFICATION = 1, 2, 4
#: Response control: always, on exception, never.
ALWAYS, ON_EXCEPTION, NEVER = 0, 1, 2


@dataclass(frozen=True)
class Lock:
    """How an APDU is secured: the key, its id, the IV, and CIPHERTEXT or AUTHENTICATED."""

    cipher: EaxPrime
    key_id: int
    iv: bytes
    mode: int = CIPHERTEXT


@dataclass(frozen=True)
class Envelope:
    """Who speaks to whom, in which transaction."""

    invocation_id: int
    called: ApTitle | None = None
    calling: ApTitle | None = None
    answers: int | None = None
    qualifier: int = 0


def build_apdu(
    envelope: Envelope,
    services: Sequence[bytes],
    lock: Lock | None = None,
    response_control: int = ALWAYS,
    ed_class: bytes | None = None,
) -> bytes:
    """Give the whole APDU; ``services`` are requests or responses without their length."""
    if ed_class is not None and len(ed_class) != 4:
        raise LocalProtocolError("an ED class has four octets")
    text = (ed_class or b"") + b"".join(length_octets(len(s)) + s for s in services)
    mode = lock.mode if lock else 0
    control = 0x80 | (0x10 if ed_class is not None else 0) | mode << 2 | response_control
    size = 1 + len(text) + (MAC_OCTETS if lock else 0)
    octet_aligned = bytes([0x81]) + length_octets(size)
    external = bytes([0x28]) + length_octets(len(octet_aligned) + size) + octet_aligned
    header = bytes([0xBE]) + length_octets(len(external) + size) + external + bytes([control])
    called = envelope.called
    called_octets = tlv(0xA2, called.wire()) if called else b""
    plain = b"" if envelope.answers is None else integer_element(0xA4, envelope.answers)
    calling = tlv(0xA6, envelope.calling.wire()) if envelope.calling else b""
    after = integer_element(0xA7, envelope.qualifier) if envelope.qualifier else b""
    after += integer_element(0xA8, envelope.invocation_id)
    if lock is not None:
        after += authentication_element(lock.key_id, lock.iv)
        covered = tlv(0xA2, called.universal()) if called else b""
        covered += plain + after + header
        covered += tlv(0xA6, envelope.calling.universal()) if envelope.calling else b""
        text = _locked(lock, covered + bytes([lock.key_id]) + lock.iv, text)
    return tlv(APDU_TAG, called_octets + plain + calling + after + header + text)


def _locked(lock: Lock, canonified: bytes, text: bytes) -> bytes:
    if lock.mode == AUTHENTICATED:
        return text + lock.cipher.sign(canonified, text)
    cipher, mac = lock.cipher.seal(canonified, text)
    return cipher + mac

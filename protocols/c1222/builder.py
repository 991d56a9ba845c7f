"""Build APDUs: elements in canonical order, titles relative, key id and IV always sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.ber import length_octets, tlv
from protocols.c1222.envelope import (
    APDU_TAG,
    CONTEXT,
    authentication_element,
    external_head,
    integer_element,
)
from protocols.c1222.security import (
    AUTHENTICATED,
    CIPHERTEXT,
    ED_CLASS_INCLUDED,
    MAC_OCTETS,
    RECOVERY_SESSION,
    EaxPrime,
)
from protocols.errors import LocalProtocolError

#: Bits of the calling AE-qualifier.
TEST, URGENT, NOTIFICATION = 1, 2, 4
#: Response control: always, on exception, never.
ALWAYS, ON_EXCEPTION, NEVER = 0, 1, 2
_CONTEXT_ELEMENT = tlv(0xA1, ApTitle(CONTEXT, False).universal())


@dataclass(slots=True)
class Lock:
    """How an APDU is secured: the key, its id, the IV, and CIPHERTEXT or AUTHENTICATED.

    ``carried`` leaves key id and IV out of the message: those of the session's
    logon are in force.  Two public stacks do so; we only read it.
    """

    cipher: EaxPrime
    key_id: int
    iv: bytes
    mode: int = CIPHERTEXT
    carried: bool = False


@dataclass(slots=True)
class Envelope:
    """Who speaks to whom, in which transaction; with the application context when it is wanted."""

    invocation_id: int
    called: ApTitle | None = None
    calling: ApTitle | None = None
    answers: int | None = None
    qualifier: int = 0
    has_context: bool = False


def build_apdu(
    envelope: Envelope,
    services: Sequence[bytes],
    lock: Lock | None = None,
    response_control: int = ALWAYS,
    ed_class: bytes | None = None,
    recovery: bool = False,
) -> bytes:
    """Give the whole APDU; ``services`` are requests or responses without their length."""
    if ed_class is not None and len(ed_class) != 4:
        raise LocalProtocolError("an ED class has four octets")
    text = (ed_class or b"") + b"".join([length_octets(len(s)) + s for s in services])
    control = 0x80 | (lock.mode if lock else 0) << 2 | response_control
    control |= ED_CLASS_INCLUDED if ed_class is not None else 0
    control |= RECOVERY_SESSION if recovery else 0
    size = 1 + len(text) + (MAC_OCTETS if lock else 0)
    external = external_head(size)
    header = b"\xbe" + length_octets(len(external) + size) + external + bytes([control])
    called, calling = envelope.called, envelope.calling
    to, to_covered = called.called_elements if called else (b"", b"")
    by, by_covered = calling.calling_elements if calling else (b"", b"")
    context = _CONTEXT_ELEMENT if envelope.has_context else b""
    answers = b"" if envelope.answers is None else integer_element(0xA4, envelope.answers)
    after = integer_element(0xA7, envelope.qualifier) if envelope.qualifier else b""
    after += integer_element(0xA8, envelope.invocation_id)
    if lock is not None:
        if not lock.carried:
            after += authentication_element(lock.key_id, lock.iv)
        in_force = bytes((lock.key_id,)) + lock.iv
        covered = b"".join((context, to_covered, answers, after, header, by_covered, in_force))
        text = _locked(lock, covered, text)
    return tlv(APDU_TAG, b"".join((context, to, answers, by, after, header, text)))


def _locked(lock: Lock, canonified: bytes, text: bytes) -> bytes:
    if lock.mode == AUTHENTICATED:
        return text + lock.cipher.sign(canonified, text)
    cipher, mac = lock.cipher.seal(canonified, text)
    return cipher + mac

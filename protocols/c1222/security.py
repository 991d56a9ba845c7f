"""EAX' security of C12.22: AES-128, a MAC of four octets, little-endian doubling.

The cipher is the ``cryptography`` package; the mode is small and stands here.
One object a key keeps the key schedule and the two masks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols.c1222.ap_title import BASE_ARCS, CALLED, CALLING
from protocols.c1222.ber import take_length, tlv
from protocols.c1222.envelope import Apdu
from protocols.c1222.errors import ApduRejected
from protocols.errors import LocalProtocolError

BLOCK = 16
#: Of a key: AES-128.
KEY_OCTETS = 16
MAC_OCTETS = 4
#: A header of at most one block can be forged under any key (IACR ePrint 2012/018).
MIN_HEADER_OCTETS = 17
#: Messages under one key, sealed and opened, before it must be changed.  One a second for a
#: year is half of it; the MAC has 32 bits, so at this count a blind guess has hit by 1 in 64.
MAX_KEY_USES = 1 << 26
CLEAR, AUTHENTICATED, CIPHERTEXT = 0, 1, 2
#: Bits of the EPSEM control octet.
RECOVERY_SESSION, PROXY_SERVICE_USED, ED_CLASS_INCLUDED = 0x40, 0x20, 0x10

#: 80H and zeros, by how many octets of the last block are there.
_PADDING = tuple(b"\x80" + bytes(BLOCK - 1 - size) for size in range(BLOCK))
#: The two bits that EAX' clears in the first counter: of octets 12 and 14.
_COUNTER_MASK = ~(0x80 << 24 | 0x80 << 8)
_MAC_MASK = (1 << 8 * MAC_OCTETS) - 1


def _double(block: bytes) -> bytes:
    """Double in GF(2^128) with octet 0 as the least significant: not as CMAC does."""
    number = int.from_bytes(block, "little") << 1
    if number >> 128:
        number = (number & ((1 << 128) - 1)) ^ 0x87
    return number.to_bytes(BLOCK, "little")


class EaxPrime:
    """One key, with its key schedule, its masks and two cipher objects that are used again.

    Making a cipher object costs more than a message's AES.  A CBC object is
    never reset: what it adds to the first block of a chain is the last block it
    gave, so that is added once more, and the wanted start with it.  Not to be
    used by two threads at once.

    ``uses`` counts the messages under this key; after ``MAX_KEY_USES`` it
    serves no more and must be changed.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_OCTETS:
            raise LocalProtocolError(f"a key of {len(key)} octets; EAX' takes {KEY_OCTETS}")
        aes = algorithms.AES(key)
        masked = _double(Cipher(aes, modes.ECB()).encryptor().update(bytes(BLOCK)))
        self._d = int.from_bytes(masked, "big")
        self._q = int.from_bytes(_double(masked), "big")
        self._chain = Cipher(aes, modes.CBC(bytes(BLOCK))).encryptor().update
        self._chained = 0
        stream = Cipher(aes, modes.CTR(bytes(BLOCK))).encryptor()
        self._begin_stream, self._stream = stream.reset_nonce, stream.update
        self.uses = 0

    def seal(self, header: bytes, plain: bytes) -> tuple[bytes, bytes]:
        """Encrypt and authenticate: ciphertext and MAC."""
        tag = self._header_tag(header)
        if not plain:
            return b"", (tag & _MAC_MASK).to_bytes(MAC_OCTETS, "big")
        cipher = self._crypt(tag, plain)
        return cipher, self._mac(tag, cipher)

    def open(self, header: bytes, cipher: bytes, mac: bytes) -> bytes:
        """Check the MAC, then decrypt; ApduRejected when it is wrong."""
        tag = self._header_tag(header)
        want = self._mac(tag, cipher) if cipher else (tag & _MAC_MASK).to_bytes(MAC_OCTETS, "big")
        if not compare_digest(want, mac):
            raise ApduRejected("mac-mismatch")
        return self._crypt(tag, cipher) if cipher else b""

    def sign(self, header: bytes, text: bytes) -> bytes:
        """Give the MAC of a message that travels in clear."""
        self._count(header)
        return (self._cmac(self._d, header + text) & _MAC_MASK).to_bytes(MAC_OCTETS, "big")

    def _header_tag(self, header: bytes) -> int:
        self._count(header)
        return self._cmac(self._d, header)

    def _count(self, header: bytes) -> None:
        if len(header) < MIN_HEADER_OCTETS:
            raise ApduRejected("bad-auth-value", "a header this short can be forged")
        if self.uses >= MAX_KEY_USES:
            raise ApduRejected("key-used-up", "change the key")
        self.uses += 1

    def _mac(self, tag: int, cipher: bytes) -> bytes:
        return ((tag ^ self._cmac(self._q, cipher)) & _MAC_MASK).to_bytes(MAC_OCTETS, "big")

    def _crypt(self, tag: int, text: bytes) -> bytes:
        self._begin_stream((tag & _COUNTER_MASK).to_bytes(BLOCK, "big"))
        return self._stream(text)

    def _cmac(self, start: int, data: bytes) -> int:
        """Give CMAC' of data, which is not empty, from a start value, as a big-endian number."""
        size = len(data)
        if over := size % BLOCK:
            data += _PADDING[over]
            size += BLOCK - over
            mask = self._q
        else:
            mask = self._d
        first = (start ^ self._chained) << 8 * (size - BLOCK)
        blocks = (int.from_bytes(data) ^ first ^ mask).to_bytes(size)
        self._chained = int.from_bytes(self._chain(blocks)[-BLOCK:])
        return self._chained


def canonified_cleartext(
    apdu: Apdu,
    key_id: int,
    iv: bytes,
    base: tuple[int, ...] = BASE_ARCS,
    titles_as_sent: bool = False,
) -> bytes:
    """Give the authenticated text N of an APDU that was received.

    Titles are made absolute (relative ones below ``base``), the calling one
    moves behind the user information's header, all else is as it was sent;
    with ``titles_as_sent`` titles that came absolute are, too.
    """
    called, calling, as_sent = apdu.called, apdu.calling, apdu.elements.get
    to = by = b""
    if called is not None:
        to = called.called_elements[1] if base == BASE_ARCS else tlv(CALLED, called.universal(base))
    if calling is not None:
        by = calling.calling_elements[1]
        if base != BASE_ARCS:
            by = tlv(CALLING, calling.universal(base))
    if titles_as_sent:
        to = to if called is None or called.relative else apdu.elements[CALLED]
        by = by if calling is None or calling.relative else apdu.elements[CALLING]
    information = apdu.elements[0xBE]
    return b"".join(
        (
            as_sent(0xA1, b""),
            to,
            as_sent(0xA4, b""),
            as_sent(0xA7, b""),
            as_sent(0xA8, b""),
            as_sent(0x8B, b""),
            as_sent(0xAC, b""),
            information[: len(information) - len(apdu.user_information) + 1],
            by,
            bytes((key_id,)),
            iv,
        )
    )


def open_apdu(
    apdu: Apdu,
    key: Callable[[int], EaxPrime | None],
    session: tuple[int, bytes] | None = None,
    base: tuple[int, ...] = BASE_ARCS,
) -> bytes:
    """Give EPSEM after its control octet in clear: [class], services, [padding].

    ``key`` finds a key by its id; ``session`` is key id and IV of the logon for
    a message that carries none.  ApduRejected when it must not be processed.
    """
    if check_control(apdu.user_information[0]) == CLEAR:
        return apdu.user_information[1:]
    key_id, iv = key_in_force(apdu, session)
    return open_secured(apdu, key(key_id), key_id, iv, base)


def open_secured(
    apdu: Apdu,
    cipher: EaxPrime | None,
    key_id: int,
    iv: bytes,
    base: tuple[int, ...] = BASE_ARCS,
) -> bytes:
    """Do what ``open_apdu`` does, of an APDU that is secured, under a key that was found.

    Where an element, or a title in one, has a longer length than it needs, its MAC may cover the
    length as it was sent (C12Adapter) or in its shortest form (Wireshark); both are taken.
    """
    try:
        return _opened(apdu, cipher, key_id, iv, base)
    except ApduRejected as error:
        if error.reason != "mac-mismatch":
            raise
        mismatch = error
    shortest = {tag: _shortest(element) for tag, element in apdu.elements.items()}
    if shortest != apdu.elements:
        with suppress(ApduRejected):
            return _opened(replace(apdu, elements=shortest), cipher, key_id, iv, base)
    covered = (canonified_cleartext(apdu, key_id, iv, base, each) for each in (False, True))
    if len(set(covered)) > 1:
        return _opened(apdu, cipher, key_id, iv, base, titles_as_sent=True)
    raise mismatch


def _shortest(element: bytes) -> bytes:
    """Give an element with its length in the shortest form."""
    return element if element[1] < 0x80 else tlv(element[0], element[take_length(element, 1)[1] :])


def _opened(
    apdu: Apdu,
    cipher: EaxPrime | None,
    key_id: int,
    iv: bytes,
    base: tuple[int, ...],
    titles_as_sent: bool = False,
) -> bytes:
    information = apdu.user_information
    if cipher is None:
        raise ApduRejected("unknown-key-id", str(key_id))
    if len(information) < 1 + MAC_OCTETS:
        raise ApduRejected("mac-missing")
    header = canonified_cleartext(apdu, key_id, iv, base, titles_as_sent)
    text, mac = information[1:-MAC_OCTETS], information[-MAC_OCTETS:]
    if apdu.security_mode == CIPHERTEXT:
        return cipher.open(header, text, mac)
    if not compare_digest(cipher.sign(header, text), mac):
        raise ApduRejected("mac-mismatch")
    return text


def key_in_force(apdu: Apdu, session: tuple[int, bytes] | None = None) -> tuple[int, bytes]:
    """Give key id and IV of a secured APDU: its own, else those of the session's logon."""
    if apdu.iv is not None and apdu.key_id is not None:
        return apdu.key_id, apdu.iv
    if session is not None:
        return session
    raise ApduRejected("security-element-missing")


def check_control(control: int) -> int:
    """Give the security mode of an EPSEM control octet; reserved values are refused."""
    if not control & 0x80:
        raise ApduRejected("epsem-control")
    mode = control >> 2 & 3
    if mode == 3:
        raise ApduRejected("security-mode-reserved")
    if control & 3 == 3:
        raise ApduRejected("response-control-reserved")
    return mode


#: Services of one request that are worked: a message may hold sixteen thousand, whose answers
#: keep everybody else waiting for as long as those of sixteen thousand messages.
MAX_SERVICES = 256
TOO_MANY_SERVICES = "too-many-services"


def split_services(
    control: int, text: bytes, most: int | None = None
) -> tuple[bytes | None, list[bytes], bytes]:
    """Give ED class (if included), the octets of each service, and the padding.

    ApduRejected for an ill-formed list, and for one of more than ``most`` services.
    """
    ed_class, at = None, 0
    if control & ED_CLASS_INCLUDED:
        if len(text) < 4:
            raise ApduRejected("ed-class-missing")
        ed_class, at = text[:4], 4
    services: list[bytes] = []
    # The rest is never copied: a message may hold sixteen thousand services of one octet.
    while at < len(text):
        length, begin = take_length(text, at)
        if length == 0:
            if any(text[begin:]):
                raise ApduRejected("nonzero-padding")
            break
        if begin + length > len(text):
            raise ApduRejected("service-length-overrun")
        if len(services) == most:
            raise ApduRejected(TOO_MANY_SERVICES)
        at = begin + length
        services.append(text[begin:at])
    if not services:
        raise ApduRejected("no-service")
    return ed_class, services, text[at:]

"""Each check of C12.22 finds the node that is wrong just there."""

from collections.abc import Callable
from typing import Any

import pytest

from protocols.c1222.access import Rights
from protocols.c1222.ber import tlv
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import APDU_TAG, ORDER, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.security import EaxPrime, canonified_cleartext
from smartmeter.conformance.verdicts import Verdict
from tests.protocols.c1222.conversation import KEY, KEY_ID, READ_1, Tables, items, lock, request
from tests.smartmeter.conformance.memory_node import NOTHING, OPEN, MemoryLine, found, results

WRITE = 0x40
Elements = list[bytes]
#: Response control of a message of Identify in clear, with the lengths before it.
ALWAYS, NEVER, ON_EXCEPTION, RESERVED = (b"\x81\x03" + bytes((0x80 | n,)) for n in (0, 2, 1, 3))
#: A relative title begins so, or an absolute one, in the element of a called one.
RELATIVE_OR_NOT = (0x80, 0x06)


def elements_of(octets: bytes) -> Elements:
    """Cut a message into its elements, whatever they are; their lengths are short but the last."""
    at = 2 if octets[1] < 0x80 else 2 + (octets[1] & 0x7F)
    found: Elements = []
    while at < len(octets):
        size = 2 + octets[at + 1]
        found.append(octets[at:] if octets[at] == 0xBE else octets[at : at + size])
        at += len(found[-1])
    return found


def lax(change: Callable[[Elements], Elements]) -> Callable[[bytes], bytes]:
    """Give a node that takes other elements for right ones."""
    return lambda octets: tlv(APDU_TAG, b"".join(change(elements_of(octets))))


def each(tag: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Give a node that reads an element otherwise."""
    return lax(lambda found: [change(one) if one[0] == tag else one for one in found])


def in_order(found: Elements) -> Elements:
    known = [one for one in found if one[0] in ORDER]
    return sorted(known, key=lambda one: ORDER.index(one[0]))


def once(found: Elements) -> Elements:
    return list(dict.fromkeys(found))


def any_tag(called: bytes) -> bytes:
    return called if called[2] in RELATIVE_OR_NOT else called[:2] + b"\x80" + called[3:]


def ended(called: bytes) -> bytes:
    return called[:-1] + bytes((called[-1] & 0x7F,))


def four_octets(own_id: bytes) -> bytes:
    return b"\xa8\x06\x02\x04" + own_id[-4:] if own_id[3] == 5 else own_id


def of_2006(own_id: bytes) -> bytes:
    return own_id if own_id[2] == 2 else tlv(0xA8, tlv(2, own_id[2:]))


def one_for_another(*pairs: tuple[bytes, bytes]) -> Callable[[bytes], bytes]:
    def change(octets: bytes) -> bytes:
        for old, new in pairs:
            octets = octets.replace(old, new)
        return octets

    return change


def relative_only(octets: bytes) -> bytes:
    return octets if octets[octets.index(b"\xa2") + 2] == 0x80 else NOTHING


def relative_only_under_a_mac(octets: bytes) -> bytes:
    return octets if decode_apdu(octets).key_id is None else relative_only(octets)


def without_a_key(octets: bytes) -> bytes:
    """Serve what is secured and does not say with what."""
    apdu = decode_apdu(octets)
    if apdu.key_id is not None or not apdu.user_information[0] & 0x0C:
        return octets
    return build_apdu(Envelope(apdu.calling_invocation_id, apdu.called, apdu.calling), [READ_1])


def in_clear(octets: bytes) -> bytes:
    """Answer in clear."""
    apdu = decode_apdu(octets)
    parts = apdu.calling_invocation_id, apdu.called, apdu.calling, apdu.called_invocation_id
    return build_apdu(Envelope(*parts), items(octets))


def any_checksum(octets: bytes) -> bytes:
    """Take a write whatever its checksum is."""
    try:
        apdu = decode_apdu(octets)
        services = items(octets)
    except ApduRejected:
        return octets
    if apdu.key_id is None or services[-1][0] != WRITE:
        return octets
    write = services[-1]
    services[-1] = write[:-1] + bytes((-sum(write[5:-1]) & 0xFF,))
    return request(services, apdu.calling_invocation_id, lock(), calling=apdu.calling)


def silent_if_large(octets: bytes) -> bytes:
    return NOTHING if len(octets) > 2_000 else octets


def other_id(octets: bytes) -> bytes:
    """Answer another request: the last octet of A4 is changed."""
    at = octets.index(b"\xa4") + 1
    at += octets[at]
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


def secured(services_of: Callable[[int, bytes], Elements | None]) -> Callable[[bytes], bytes]:
    """Give a node that reads what was enciphered otherwise: services out of it, if it does."""

    def asked(octets: bytes) -> bytes:
        try:
            apdu = decode_apdu(octets)
            if apdu.key_id != KEY_ID or apdu.iv is None:
                return octets
            information = apdu.user_information
            control, text, mac = information[0], information[1:-4], information[-4:]
            text = EaxPrime(KEY).open(canonified_cleartext(apdu, KEY_ID, apdu.iv), text, mac)
        except ApduRejected:
            return octets
        services = services_of(control, text)
        if services is None:
            return octets
        return request(services, apdu.calling_invocation_id, lock(), calling=apdu.calling)

    return asked


def of_response_control_3(control: int, text: bytes) -> Elements | None:
    return [text[1:]] if control & 3 == 3 else None


def of_mode_3(control: int, text: bytes) -> Elements | None:
    return [text[1:]] if control >> 2 & 3 == 3 else None


def padding_too(control: int, text: bytes) -> Elements | None:
    return [text[1:2], text[2:]] if text[2:] == bytes(3) else None


def short_lengths_only(control: int, text: bytes) -> Elements | None:
    return [b"\x6f"] if text[0] in (0x81, 0x82) else None


def other_mac(octets: bytes) -> bytes:
    return octets[:-1] + bytes([octets[-1] ^ 1])


@pytest.mark.parametrize(
    "check, wrong",
    [
        ("C46", {"asked": one_for_another((NEVER, ALWAYS))}),
        ("C45", {"asked": one_for_another((ON_EXCEPTION, ALWAYS)), "settings": OPEN}),
        ("C83", {"closes": False}),
        ("C4", {"closes": False}),
        ("C37", {"anew": True}),
        ("C35", {"said": other_id}),
        ("C75", {"said": other_id}),
        ("C30", {"said": other_mac}),
        ("C8", {"asked": lax(once)}),
        ("C10", {"asked": each(0xA2, any_tag)}),
        ("C11", {"asked": each(0xA2, ended)}),
        ("C12", {"asked": each(0xA8, four_octets), "settings": OPEN}),
        ("C15", {"asked": one_for_another((RESERVED, ALWAYS)), "settings": OPEN}),
        ("C15", {"asked": one_for_another((b"\x81\x03\x8c", ALWAYS)), "settings": OPEN}),
        ("C17", {"asked": one_for_another((b"\x20\0\0\0", b"\x20\1\x20\0")), "settings": OPEN}),
        ("C17", {"asked": one_for_another((b"\x20\0\0\0", b"\x20\2\x20\0")), "settings": OPEN}),
        ("C18", {"asked": one_for_another((b"\x81\1\x20", b"\x7f\1\x20")), "settings": OPEN}),
        ("C18", {"asked": one_for_another((b"\x82\0\1", b"\x7f\0\1")), "settings": OPEN}),
        ("C15", {"asked": secured(of_response_control_3)}),
        ("C15", {"asked": secured(of_mode_3)}),
        ("C17", {"asked": secured(padding_too)}),
        ("C18", {"asked": secured(short_lengths_only)}),
        ("C19", {"asked": relative_only}),
        ("C23", {"asked": relative_only_under_a_mac}),
        ("C25", {"asked": without_a_key, "settings": OPEN}),
        ("C29", {"said": in_clear}),
        ("C49", {"said": one_for_another((b"\x0f\0\0\x08\0", b"\x0f\0\x08\0\0"))}),
        ("C41", {"asked": any_checksum}),
        ("C49", {"asked": silent_if_large}),
        ("C76", {"forgets": True}),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_a_node_that_is_wrong_is_caught_by_the_check(
    check: str, wrong: dict[str, Any], is_stream: bool
) -> None:
    verdict = found(MemoryLine(**wrong, is_stream=is_stream))[check]
    of_streams = ("C4", "C49", "C75", "C76", "C83")
    if is_stream or check not in of_streams:
        assert verdict in (Verdict.VIOLATION, Verdict.DOUBTFUL)
    else:
        assert verdict is Verdict.NOT_APPLICABLE or check == "C49"


@pytest.mark.parametrize("check, asked", [("C7", lax(in_order)), ("C12", each(0xA8, of_2006))])
def test_what_some_stacks_take_is_told_as_advice(
    check: str, asked: Callable[[bytes], bytes]
) -> None:
    for settings in (MemoryLine.settings, OPEN):
        assert found(MemoryLine(asked=asked, settings=settings))[check] is Verdict.ADVICE


def test_a_wrong_message_that_is_refused_in_words_is_no_more_than_advice() -> None:
    """It is not carried out: here a node that looks at the key of an element twice first."""
    asked = lax(lambda elements: [*once(elements)[:-1], elements[-1][:-1] + b"\xff"])

    def refusing(octets: bytes) -> bytes:
        return asked(octets) if octets.count(b"\xa8\x03\x02") > 1 else octets

    one = results(MemoryLine(asked=refusing))["C8"]
    assert one.verdict is Verdict.ADVICE and "silence was due" in one.text, one


class Rash(Tables):
    """A device that changes a table when somebody fails to write it."""

    def of_password(
        self, user_id: int | None, user: bytes, password: bytes, rights: Rights
    ) -> Rights | None:
        self.images[5] = bytes((len(self.asked),))
        return super().of_password(user_id, user, password, rights)


def test_a_refused_write_that_changes_the_table_is_told() -> None:
    one = results(MemoryLine(tables=Rash()))["C41"]
    assert one.verdict is Verdict.DOUBTFUL and "ST-05 is another" in one.text, one

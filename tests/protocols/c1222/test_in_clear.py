"""What a relay sees of others' messages: services in clear, and nothing of any other."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle, uid_octets
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.in_clear import (
    asks_for,
    gathered_titles,
    granted_title,
    is_in_clear,
    services_in_clear,
    traced,
)
from protocols.c1222.registration import REGISTER
from protocols.c1222.services import MAX_TRACE_TITLES, Trace, encode_service
from tests.protocols.c1222.conversation import READ_1, lock, request

RELAY, OTHER = ApTitle.parse(".91"), ApTitle.parse(".92")


def trace(*titles: ApTitle) -> bytes:
    return request([encode_service(Trace(titles))])


def test_a_trace_gathers_the_title_of_a_relay_and_stays_one_message() -> None:
    octets = trace(OTHER)
    longer = traced(decode_apdu(octets), octets, RELAY)
    assert longer == trace(OTHER, RELAY)
    assert gathered_titles(decode_apdu(longer)) == uid_octets(OTHER) + uid_octets(RELAY)


def test_what_is_no_trace_in_clear_goes_on_as_it_is() -> None:
    full = trace(*[OTHER] * MAX_TRACE_TITLES)
    one = encode_service(Trace((OTHER,)))
    for octets in (full, request([READ_1]), request([one, READ_1]), request([one], lock=lock())):
        assert traced(decode_apdu(octets), octets, RELAY) == octets


def test_of_a_secured_message_nothing_is_seen() -> None:
    register = bytes([REGISTER]) + bytes(12)
    seen, hidden = (decode_apdu(request([register], lock=key)) for key in (None, lock()))
    assert is_in_clear(seen) and services_in_clear(seen) == [register] and asks_for(seen, REGISTER)
    assert not is_in_clear(hidden) and not services_in_clear(hidden)
    assert not asks_for(hidden, REGISTER) and granted_title(hidden) is None


@given(
    st.data(), st.sampled_from([trace(OTHER), request([READ_1]), request([READ_1], lock=lock())])
)
def test_a_message_with_changed_octets_is_looked_at_without_harm(
    data: st.DataObject, octets: bytes
) -> None:
    changed = bytearray(octets)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ApduRejected):
        apdu = decode_apdu(bytes(changed))
        granted_title(apdu)
        gathered_titles(apdu)
        onward = traced(apdu, bytes(changed), RELAY)
        assert onward == bytes(changed) or uid_octets(RELAY) in onward

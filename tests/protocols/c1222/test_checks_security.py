"""Conformance checks 21 to 34: EAX', keys, replay, the window, and what an attacker is told."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.ber import tlv
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.guard import FAILURES_FORGIVEN, FORGIVEN_WHERE_RIGHT, FailureGuard
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import (
    AnsweredLate,
    KeySuspected,
    MessageRejected,
    Node,
    NodeSettings,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.security import (
    AUTHENTICATED,
    CIPHERTEXT,
    MAX_KEY_USES,
    EaxPrime,
    canonified_cleartext,
    open_apdu,
)
from protocols.errors import LocalProtocolError
from tests.protocols.c1222.conversation import (
    HOST,
    KEY,
    KEY_ID,
    MESSAGES,
    METER,
    NOW_US,
    OPEN,
    PASSWORD,
    READ_1,
    VECTOR_UTC_S,
    Clock,
    Ring,
    Talk,
    items,
    lock,
    request,
    vector,
)

STRICT = NodeSettings()
PUBLISHED = [m for m in MESSAGES.values() if "canonified_cleartext" in m["decoded"]]


@pytest.mark.parametrize("message", PUBLISHED, ids=lambda m: m["name"])
def test_check_21_published_messages_give_the_listed_plaintext_and_mac(message: dict) -> None:  # type: ignore[type-arg]
    keys = {k["key_id"]: EaxPrime(bytes.fromhex(k["key"])) for k in message["key"]}
    session = message.get("session")
    carried = (session["key_id"], bytes.fromhex(session["iv"])) if session else None
    apdu = decode_apdu(bytes.fromhex(message["hex"]))
    facts = message["decoded"]
    text = open_apdu(apdu, keys.get, carried)
    assert apdu.user_information[-4:].hex() == facts["mac"]
    key_id, iv = carried or (apdu.key_id or 0, apdu.iv or b"")
    assert canonified_cleartext(apdu, key_id, iv).hex() == facts["canonified_cleartext"]
    assert facts.get("plaintext", text.hex()) == text.hex()


@pytest.mark.parametrize("mode", [AUTHENTICATED, CIPHERTEXT])
@given(st.data())
def test_check_22_one_bit_changed_anywhere_is_never_served(mode: int, data: st.DataObject) -> None:
    octets = bytearray(request([READ_1], lock=lock(mode=mode)))
    [served] = Talk(STRICT).offer(bytes(octets))
    assert items(served)[0][0] == 0, "unchanged it is"
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    talk = Talk(STRICT)
    answers = talk.offer(bytes(octets))
    assert talk.server.node.counts["served"] == 0
    # What is said, if anything, is said in clear: sme, or iar for a spoilt control octet.
    assert all(items(answer)[0][0] in (0x0B, 0x05, 0x11) for answer in answers)


@pytest.mark.parametrize("name", ["bad-mac-flipped", "bad-ciphertext-flipped", "bad-iv-changed"])
def test_check_22_the_published_forgeries_are_answered_sme(name: str) -> None:
    talk = Talk(STRICT)
    [answer] = talk.offer(vector(name))
    assert items(answer) == [b"\x0b"] and talk.rejections() == ["mac-mismatch"]


def test_check_23_a_title_whose_form_a_relay_changed_is_still_accepted() -> None:
    body = request([READ_1], lock=lock())[2:]
    for tag, title in ((0xA2, METER), (0xA6, HOST)):
        body = body.replace(tlv(tag, title.wire()), tlv(tag, title.universal()))
    talk = Talk(STRICT)
    [answer] = talk.offer(tlv(0x60, body))
    assert items(answer)[0][0] == 0


@pytest.mark.parametrize("covered", ["as it was sent", "in its shortest form"])
def test_check_23_a_mac_may_cover_a_longer_length_in_both_ways_that_others_do(covered: str) -> None:
    octets = request([READ_1], 9, lock())
    apdu = decode_apdu(octets)
    elements = dict(apdu.elements)
    elements[0xA8] = b"\xa8\x81" + elements[0xA8][1:]
    if covered == "as it was sent":
        text = replace(apdu, elements=elements)
        header = canonified_cleartext(text, KEY_ID, lock().iv)
        cipher, mac = EaxPrime(KEY).seal(header, open_apdu(apdu, Ring().ciphers.get))
        size = len(cipher + mac)
        elements[0xBE] = elements[0xBE][:-size] + cipher + mac
    octets = tlv(0x60, b"".join(elements.values()))
    talk = Talk()
    [answer] = talk.offer(octets)
    assert items(answer)[0][0] == 0
    spoilt = octets[:-1] + bytes([octets[-1] ^ 1])
    assert [items(told) for told in Talk().offer(spoilt)] == [[b"\x0b"]]


@pytest.mark.parametrize("covered", ["as they were sent", "in their shortest form"])
@pytest.mark.parametrize("longer", ["element", "title"])
def test_check_23_a_mac_may_cover_a_longer_length_of_absolute_titles_in_both_ways(
    covered: str, longer: str
) -> None:
    apdu = decode_apdu(request([READ_1], 9, lock()))
    elements = dict(apdu.elements)
    for tag, title in ((0xA2, METER), (0xA6, HOST)):
        element = tlv(tag, title.universal())
        if longer == "element":
            elements[tag] = element[:1] + b"\x81" + element[1:]
        else:
            elements[tag] = tlv(tag, b"\x06\x81" + title.universal()[1:])
    if covered == "as they were sent":
        text = decode_apdu(tlv(0x60, b"".join(elements.values())))
        header = canonified_cleartext(text, KEY_ID, lock().iv, titles_as_sent=True)
        assert elements[0xA2] + elements[0xA8] in header and elements[0xA6] in header
        cipher, mac = EaxPrime(KEY).seal(header, open_apdu(apdu, Ring().ciphers.get))
        elements[0xBE] = elements[0xBE][: -len(cipher + mac)] + cipher + mac
    octets = tlv(0x60, b"".join(elements.values()))
    [answer] = Talk().offer(octets)
    assert items(answer)[0][0] == 0
    spoilt = octets[:-1] + bytes([octets[-1] ^ 1])
    assert [items(told) for told in Talk().offer(spoilt)] == [[b"\x0b"]]


def test_a_secured_request_of_a_node_without_a_title_is_answered_to_none() -> None:
    talk = Talk(STRICT)
    octets = build_apdu(Envelope(9, METER, None), [READ_1], lock())
    [answer] = talk.offer(octets)
    assert items(answer)[0][0] == 0
    assert decode_apdu(answer).called is None and decode_apdu(answer).key_id == KEY_ID


def test_check_24_an_unknown_key_id_is_answered_sme() -> None:
    talk = Talk(STRICT)
    talk.ring.ciphers = {1: EaxPrime(KEY)}
    [answer] = talk.offer(vector("bad-unknown-key"))
    assert items(answer) == [b"\x0b"] and talk.rejections() == ["unknown-key-id"]


def test_check_25_a_secured_message_without_ac_and_without_session_is_answered_sme() -> None:
    talk = Talk(STRICT)
    [answer] = talk.offer(vector("bad-secured-without-AC"))
    assert items(answer) == [b"\x0b"] and talk.rejections() == ["security-element-missing"]


def test_check_26_a_request_in_clear_is_answered_sme_in_clear_where_security_is_demanded() -> None:
    talk = Talk(STRICT)
    [answer] = talk.offer(request([READ_1]))
    assert decode_apdu(answer).user_information.hex() == "80010b"
    assert talk.rejections() == ["security-demanded"]


def test_check_27_the_identical_secured_request_is_not_served_again() -> None:
    talk = Talk(STRICT)
    write = request([b"\x51" + PASSWORD + b"\0\2", b"\x40\0\3\0\1\x55\xab"], lock=lock())
    [answer] = talk.offer(write)
    talk.tables.images[3] = b"later"
    assert talk.offer(write) == [answer]
    assert talk.tables.images[3] == b"later" and talk.rejections() == ["repeated"]


def test_check_27_what_the_full_history_forgot_is_refused_all_the_same() -> None:
    talk = Talk(NodeSettings(history=4))
    first = request([READ_1], 1, lock())
    assert len(talk.offer(first)) == 1
    for number in range(2, 8):
        talk.now_us += 1_000_000
        iv = (VECTOR_UTC_S + number).to_bytes(4, "big")
        assert items(talk.offer(request([READ_1], number, lock(iv=iv)))[0])[0][0] == 0
    assert items(talk.offer(first)[0]) == [b"\x0b"]
    assert talk.rejections() == ["outside-window"]


def test_check_28_an_iv_outside_the_window_is_answered_sme_but_for_recovery() -> None:
    old = lock(iv=(VECTOR_UTC_S - 3600).to_bytes(4, "big"))
    talk = Talk(STRICT)
    assert items(talk.offer(request([READ_1], lock=old))[0]) == [b"\x0b"]
    assert talk.rejections() == ["outside-window"]
    # The recovery bit alone opens nothing: it takes a key that is for recovery.
    assert items(talk.offer(request([READ_1], 2, old, recovery=True))[0]) == [b"\x0b"]
    recovering = Talk(NodeSettings(recovery_keys=frozenset((KEY_ID,))))
    assert items(recovering.offer(request([READ_1], 3, old))[0]) == [b"\x0b"]
    assert items(recovering.offer(request([READ_1], 4, old, recovery=True))[0])[0][0] == 0


@pytest.mark.parametrize("wrong_s", [-2 * 365 * 86_400, -3 * 3600, 901, 3 * 86_400])
def test_check_28_who_may_ask_the_time_is_refused_under_the_key_with_a_stamp_of_now(
    wrong_s: int,
) -> None:
    talk = Talk(NodeSettings(tell_time_to=frozenset((0x30,))))
    talk.host = Node(HOST, talk.ring, Clock(wrong_s * 1_000_000), SecurityState(100), OPEN)
    number = talk.host.request([READ_1], METER, "line", talk.now_us, key_id=KEY_ID)
    [(_, asked)] = talk.host.outgoing()
    [answer] = talk.offer(asked)
    assert talk.rejections() == ["outside-window"]
    talk.host.receive("line", answer, talk.now_us)
    [told] = talk.host.events()
    assert told == ResponseArrived(number, (b"\x0b",), True, METER)
    assert isinstance(told, ResponseArrived) and told.iv == VECTOR_UTC_S.to_bytes(4, "big")


def test_check_28_the_time_is_told_in_answers_that_fit_no_other_request() -> None:
    talk = Talk(NodeSettings(tell_time_to=frozenset((0x30,))))
    talk.host = Node(HOST, talk.ring, Clock(-10_000_000_000), SecurityState(100), OPEN)
    talk.host.request([READ_1], METER, "line", talk.now_us, key_id=KEY_ID)
    [(_, asked)] = talk.host.outgoing()
    [kept] = talk.offer(asked)  # somebody on the way keeps it, and the request
    talk.later(60)
    assert talk.host.events() == [TransactionFailed(100, "no answer in time")]
    number = talk.host.request([READ_1], METER, "line", talk.now_us, key_id=KEY_ID)
    [again] = talk.offer(asked)
    talk.host.receive("line", kept, talk.now_us)
    [late] = talk.host.events()  # it is of the first request, and no word about the time now
    assert isinstance(late, AnsweredLate) and (late.transaction, late.responses) == (
        100,
        (b"\x0b",),
    )
    for forged in (again, again[:-1] + bytes([again[-1] ^ 1])):
        talk.host.receive("line", forged, talk.now_us)
    # The number of the request that is answered stands under the MAC.
    at = again.index(bytes.fromhex("a403020164"))
    talk.host.receive("line", again[: at + 4] + bytes([number]) + again[at + 5 :], talk.now_us)
    reasons = [event.reason for event in talk.host.events() if isinstance(event, MessageRejected)]
    assert reasons == ["no-such-transaction"] * 2 + ["mac-mismatch"]


def test_check_28_others_than_who_may_ask_are_not_told_the_time() -> None:
    old = lock(iv=(VECTOR_UTC_S - 3600).to_bytes(4, "big"))
    talk = Talk(NodeSettings(tell_time_to=frozenset((0x27,))))
    for number, services in enumerate(([READ_1], [READ_1, b"\x27"], [])):
        [answer] = talk.offer(request(services, 10 + number, old))
        assert decode_apdu(answer).user_information.hex() == "80010b"


def test_check_29_an_insecure_ok_to_a_secure_request_is_tampering() -> None:
    talk = Talk()
    for mode, forged in ((CIPHERTEXT, None), (CIPHERTEXT, AUTHENTICATED), (AUTHENTICATED, None)):
        number = talk.host.request([READ_1], METER, "line", NOW_US, key_id=KEY_ID, mode=mode)
        protection = None if forged is None else lock(mode=forged)
        answer = build_apdu(Envelope(9, HOST, METER, number), [b"\0"], protection)
        talk.host.receive("line", answer, NOW_US)
        assert talk.host.events() == [MessageRejected("line", METER, "tampering")]


def test_check_30_a_message_authenticated_in_clear_is_readable_and_its_mac_checked() -> None:
    octets = vector("own-cleartext-auth-read")
    assert PASSWORD in octets
    talk = Talk(STRICT)
    [answer] = talk.offer(octets)
    assert decode_apdu(answer).user_information[0] == 0x84
    # A password that everybody on the way could read is refused where security is demanded.
    assert [item[0] for item in items(answer)] == [3, 3]
    assert talk.offer(octets[:-1] + bytes([octets[-1] ^ 1])) != []
    assert talk.rejections() == ["mac-mismatch"]


@given(st.binary(max_size=16), st.binary(min_size=4, max_size=4))
def test_check_31_a_header_shorter_than_17_octets_is_refused(header: bytes, mac: bytes) -> None:
    cipher = EaxPrime(KEY)
    for use in (
        lambda: cipher.open(header, b"x" * 15, mac),
        lambda: cipher.seal(header, b"x"),
        lambda: cipher.sign(header, b"x"),
    ):
        with pytest.raises(ApduRejected, match="bad-auth-value"):
            use()


def test_check_31_the_published_forgery_under_any_key_is_refused() -> None:
    cipher_text = bytes(range(15))
    with pytest.raises(ApduRejected):
        EaxPrime(KEY).open(cipher_text + b"\x80", cipher_text, bytes(4))


def test_check_32_guesses_are_answered_for_a_while_then_not_and_an_event_is_raised() -> None:
    talk, answered = Talk(STRICT), 0
    for number in range(3 * FAILURES_FORGIVEN):
        forged = bytearray(request([READ_1], number, lock()))
        forged[-1] ^= 1
        answered += len(talk.offer(bytes(forged), "stranger"))
    events = talk.server.events()
    assert answered == FAILURES_FORGIVEN
    assert [e for e in events if isinstance(e, KeySuspected)] == [
        KeySuspected("stranger", HOST, KEY_ID)
    ]
    # A right message is not even looked at there, but where the key was right it goes on.
    assert talk.offer(request([READ_1], 1000, lock()), "stranger") == []
    talk.later(2)
    assert len(talk.offer(request([READ_1], 1001, lock()), "stranger")) == 1


def test_check_32_whoever_knows_the_key_is_not_disturbed_on_his_own_path() -> None:
    talk = Talk(STRICT)
    assert len(talk.offer(request([READ_1], 1, lock()), "own")) == 1
    for number in range(2 * FAILURES_FORGIVEN):
        forged = bytearray(request([READ_1], 100 + number, lock()))
        forged[-1] ^= 1
        talk.offer(bytes(forged), "stranger")
    assert len(talk.offer(request([READ_1], 2, lock()), "own")) == 1


def test_the_path_where_a_key_was_right_last_is_forgotten_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocols.c1222.guard.MAX_PATHS", 2)
    guard, key = FailureGuard(), (HOST.absolute, 0)
    for path in "abc":
        guard.succeeded(key, path)
    for _ in range(FAILURES_FORGIVEN):
        guard.failed(key, "elsewhere", 0)
    assert [guard.allows(key, path, 0) for path in "abc"] == [False, True, True]


def test_check_32_who_shares_a_path_with_a_guesser_goes_on_and_guessing_stays_slow() -> None:
    """As two do behind one relay."""
    talk, answered, looked_at = Talk(STRICT), 0, 0
    assert len(talk.offer(request([READ_1], 1, lock()), "relay")) == 1
    for number in range(100, 300):  # 20 a second, for 10 s
        forged = bytearray(request([READ_1], number, lock()))
        forged[-1] ^= 1
        answered += len(talk.offer(bytes(forged), "relay"))
        talk.later(0.05)
        if number % 20 == 0:
            assert len(talk.offer(request([READ_1], 1000 + number, lock()), "relay")) == 1
    assert FAILURES_FORGIVEN <= answered <= FAILURES_FORGIVEN + 10, "answers slow down"
    assert len([e for e in talk.server.events() if isinstance(e, KeySuspected)]) >= 1
    for number in range(2000):  # in no time
        forged = bytearray(request([READ_1], 5000 + number, lock()))
        forged[-1] ^= 1
        talk.offer(bytes(forged), "relay")
    looked_at = talk.rejections().count("mac-mismatch") - 200
    assert looked_at <= FORGIVEN_WHERE_RIGHT


@example([0, 0], 2)  # a restart within one second
@given(st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=4), st.integers(1, 6))
def test_check_33_over_restarts_and_clock_changes_no_key_and_header_pair_repeats(
    steps_s: list[int], each: int
) -> None:
    ring, clock, state, sent = Ring(), Clock(), SecurityState(), set()
    for step_s in steps_s:
        node = Node(HOST, ring, clock, state)
        for _ in range(each):
            node.request([READ_1], METER, "line", NOW_US, key_id=KEY_ID)
        for _, octets in node.outgoing():
            apdu = decode_apdu(octets)
            header = canonified_cleartext(apdu, KEY_ID, apdu.iv or b"")
            assert header not in sent
            sent.add(header)
        state = node.locks.state
        clock.offset_us = (clock.offset_us or 0) + step_s * 1_000_000


def test_check_34_in_a_session_a_message_without_ac_is_covered_by_the_logons_iv() -> None:
    talk = Talk(STRICT)
    [granted] = talk.offer(vector("own-logon-with-timeout-encrypted"))
    assert items(granted) == [bytes.fromhex("00003c"), b"\0"]
    in_session = vector("own-in-session-read-without-AC")
    [answer] = talk.offer(in_session)
    assert items(answer)[0][0] == 0
    # Its id must rise: the same, or an earlier one, is a replay.
    talk.offer(in_session)
    earlier = request([READ_1], 0, lock(carried=True))
    later = request([READ_1], 2, lock(carried=True))
    talk.offer(earlier)
    assert talk.rejections() == ["repeated", "repeated"]
    assert len(talk.offer(later)) == 1


def test_check_34_a_host_reads_an_answer_without_ac_by_the_requests_iv() -> None:
    talk = Talk(STRICT)
    number = talk.host.request([READ_1], METER, "line", NOW_US, key_id=KEY_ID)
    carried = lock(carried=True, iv=(NOW_US // 1_000_000).to_bytes(4, "big"))
    answer = build_apdu(Envelope(9, HOST, METER, number), [b"\0"], carried)
    talk.host.receive("line", answer, NOW_US)
    assert [type(event).__name__ for event in talk.host.events()] == ["ResponseArrived"]


def test_a_key_that_was_used_too_often_is_used_no_more() -> None:
    talk = Talk(STRICT)
    talk.ring.ciphers[KEY_ID].uses = MAX_KEY_USES
    talk.offer(request([READ_1], lock=lock()))
    assert talk.rejections() == ["key-used-up"]
    with pytest.raises(LocalProtocolError, match="change it"):
        talk.host.request([READ_1], METER, "line", NOW_US, key_id=KEY_ID)


def test_a_key_is_changed_without_a_gap() -> None:
    talk, new = Talk(STRICT), EaxPrime(b"the new key, 16o")
    talk.ring.ciphers[6] = new
    assert items(talk.offer(request([READ_1], 1, lock()))[0])[0][0] == 0
    assert len(talk.offer(request([READ_1], 2, lock(cipher=new, key_id=6)))) == 1
    del talk.ring.ciphers[KEY_ID]
    assert items(talk.offer(request([READ_1], 3, lock()))[0]) == [b"\x0b"]
    assert len(talk.offer(request([READ_1], 4, lock(cipher=new, key_id=6)))) == 1


def test_an_answer_reflected_as_a_request_is_not_served() -> None:
    talk = Talk(STRICT)
    [answer] = talk.offer(request([READ_1], lock=lock()))
    assert talk.offer(answer) == [] and talk.rejections() == ["no-such-transaction"]


def test_a_request_reflected_to_its_sender_is_not_served() -> None:
    talk = Talk()
    talk.host.request([READ_1], METER, "line", NOW_US, key_id=KEY_ID)
    [(_, octets)] = talk.host.outgoing()
    talk.host.receive("line", octets, NOW_US)
    assert talk.host.events() == [MessageRejected("line", HOST, "not-for-this-node")]


def test_a_caller_under_another_title_has_another_key() -> None:
    talk = Talk(STRICT)
    talk.ring.peer = HOST
    other = request([READ_1], lock=lock(), calling=ApTitle.parse(".6"))
    assert items(talk.offer(other)[0]) == [b"\x0b"] and talk.rejections() == ["unknown-key-id"]

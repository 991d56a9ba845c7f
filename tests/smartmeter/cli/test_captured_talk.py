"""What a message of a capture says by those before it."""

from protocols.c1222.ap_title import BASE_ARCS, ApTitle
from protocols.c1222.ber import tlv
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.errors import DRAFT_2006
from protocols.c1222.services import NetworkLogon, encode_blocks, encode_service
from smartmeter.cli.captured_talk import CapturedTalk
from smartmeter.cli.frame_c1222 import FrameContext, make_context
from tests.protocols.c1222.conversation import HOST, KEY, KEY_ID, METER, READ_1, lock

IDENTIFY = b"\x20"


def data_in(talk: CapturedTalk, host: ApTitle, node: ApTitle, answers: int) -> object:
    """Give the table that an answer to a read brings, as it is shown."""
    answer = build_apdu(Envelope(9, host, node, answers), [b"\0" + encode_blocks(b"table")])
    return talk.shown(answer, 0)["decoded"]["services"][0].get("data")


def test_an_answer_is_read_by_its_request_whichever_form_its_titles_have() -> None:
    absolute = {one: ApTitle(BASE_ARCS + one.arcs, False) for one in (HOST, METER)}
    talk = CapturedTalk(FrameContext())
    talk.shown(build_apdu(Envelope(7, absolute[METER], HOST), [READ_1]), 0)
    assert data_in(talk, absolute[HOST], METER, 7) == b"table".hex()
    elsewhere = CapturedTalk(FrameContext(base=(2, 999)))
    elsewhere.shown(build_apdu(Envelope(7, METER, ApTitle((2, 999, 5), False)), [READ_1]), 0)
    assert data_in(elsewhere, HOST, METER, 7) == b"table".hex()


def test_a_host_that_counts_anew_with_each_node_is_answered_by_each_what_it_asked_it() -> None:
    """In sessions it begins at 0 (C12.22 digest, 8.3)."""
    other, talk = ApTitle.parse(".7.43"), CapturedTalk(FrameContext())
    talk.shown(build_apdu(Envelope(0, METER, HOST), [READ_1]), 0)
    talk.shown(build_apdu(Envelope(0, other, HOST), [IDENTIFY]), 0)
    assert data_in(talk, HOST, METER, 0) == b"table".hex()
    # Who answers a group does so by its own title.
    talk.shown(build_apdu(Envelope(0, ApTitle.parse(".7.0"), HOST), [READ_1]), 0)
    assert data_in(talk, HOST, ApTitle.parse(".7.44"), 0) == b"table".hex()


def test_an_answer_without_a_security_element_is_covered_by_that_of_its_request() -> None:
    """As a host reads it; in a session it is the logon's that counts."""
    keys = make_context([f"{KEY_ID}={KEY.hex()}"], None, None, (), None)
    logon = encode_service(NetworkLogon(2, b"OPERATOR", 60))
    table = b"\0" + encode_blocks(b"table")
    for before, covering in (([], 7), ([logon], 7), ([logon], 6)):
        talk = CapturedTalk(keys)
        for number, services in ((6, before), (7, [READ_1])):
            own = lock(iv=number.to_bytes(4, "big"))
            talk.shown(build_apdu(Envelope(number, METER, HOST), services, own), 0)
        bare = lock(iv=covering.to_bytes(4, "big"), carried=True)
        answer = build_apdu(Envelope(9, HOST, METER, 7), [table], bare)
        shown = talk.shown(answer, 0)
        assert shown["ok"] and shown["decoded"]["services"][0]["data"] == b"table".hex(), shown
        spoilt = talk.shown(answer[:-1] + bytes([answer[-1] ^ 1]), 0)
        assert spoilt["reason"] == "mac-mismatch"


def test_a_message_of_the_2006_form_in_a_capture_is_told_as_one() -> None:
    context_2006 = bytes.fromhex("a10706052a8648ce52")
    whole = build_apdu(Envelope(7, METER, HOST), [READ_1])
    shown = CapturedTalk(FrameContext()).shown(tlv(0x60, context_2006 + whole[2:]), 0)
    assert not shown["ok"] and DRAFT_2006 in shown["detail"]

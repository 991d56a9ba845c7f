"""C12.21's numbered checks of a device, and the digest's transcript of a call, octet by octet."""

import json
from pathlib import Path

from protocols.c1218.session import State
from protocols.c1221.authentication import proof
from tests.protocols.c1218.checks import CHOICE, MEMORY, ONE, TWO, check
from tests.protocols.c1218.device_bench import ModelDevice
from tests.protocols.c1221.call import ACK, KEY, NAK, TICKET, CallBench

VECTORS = Path(__file__).parents[2] / "vectors" / "c1218_vectors.json"


def proving(ticket: bytes, key_id: int = 0, key: bytes = KEY) -> bytes:
    return b"\x53\x09" + bytes([key_id]) + proof(key, ticket)


@check("D97", MEMORY)
def test_a_foreign_identity_is_met_with_silence() -> None:
    bench = CallBench()
    foreign = bench.packet(b"\x20", identity=8)
    assert bench.hear(foreign, 10) == b"" and bench.server.state is State.BASE
    damaged = bytearray(foreign)
    damaged[-1] ^= 1
    assert bench.hear(bytes(damaged), 10) == b"", "not even a NAK: it may be another's turn"
    assert bench.hear(foreign[:7], 10) == b""
    own = bytearray(bench.packet(b"\x20"))
    own[-1] ^= 1
    assert bench.hear(bytes(own)) == NAK
    bench.log_on()
    bench.hear(bench.packet(b"\x21", identity=8), 1)
    assert bench.server.state is State.SESSION


@check("D98", ONE)
def test_the_own_identity_and_00_are_answered_with_the_identity_of_the_request() -> None:
    for identity in (7, 0):
        bench = CallBench()
        assert bench.ask("20", identity)[:2] == b"\0\2"


@check("D99", TWO)
def test_the_time_outs_before_timing_setup_are_those_of_a_call() -> None:
    bench = CallBench()
    answer = bench.hear(bench.packet(b"\x20"))[1:]
    assert bench.wait(3.9) == b"" and bench.wait(0.2) == answer, "4 s for an acknowledgment"
    bench.hear(ACK)
    assert bench.wait(29.5) == b"" and bench.server.state is State.ID
    bench.wait(1.0)
    assert bench.server.state is State.BASE, "30 s of silence"
    whole = bench.packet(b"\x20")
    assert bench.hear(whole[:7], 0.9) == b""
    assert bench.hear(whole[7:])[:1] == ACK, "1 s between characters"


@check("D100", TWO)
def test_timing_setup_is_answered_with_what_is_then_used() -> None:
    bench = CallBench()
    assert bench.ask("710A010205") == b"\x0a", "isss in Base"
    bench.ask("20")
    assert bench.ask("710A010205") == bytes.fromhex("000a010205")
    answer = bench.hear(bench.packet(b"\x71\0\0\0\0"))[1:]
    assert answer[6:11] == b"\0\1\1\1\0", "no timer is ever 0"
    said = bench.wait(60)
    assert said == answer * 5, "2 s and 5 repetitions: an answer without ACK changes nothing"
    assert bench.server.state is State.BASE
    bench.ask("20")
    bench.ask("710A010205")
    bench.wait(9.8)
    assert bench.server.state is State.ID
    bench.wait(0.4)
    assert bench.server.state is State.BASE
    bench.log_on()
    assert bench.ask("710A010205") == b"\x0a", "isss in Session"
    bench.wait(29.5)
    assert bench.server.state is State.SESSION, "the defaults hold again"


@check("D101", TWO)
def test_a_right_proof_is_answered_with_the_devices_own() -> None:
    bench = CallBench()
    ticket = bench.log_on()
    assert ticket == TICKET
    answer = bench.ask(proving(ticket))
    assert answer == bytes.fromhex("000900") + bytes.fromhex("74b604935d984216")
    assert bench.ask("300802")[:1] == b"\0", "and the rights of its key are granted"


@check("D102", TWO)
def test_a_wrong_proof_or_key_is_refused_and_the_session_stays() -> None:
    bench = CallBench()
    ticket = bench.log_on()
    for wrong in (
        proving(ticket, key=b"22222222"),
        proving(ticket, key_id=1),
        b"\x53\x01\x00",
        b"\x53\x05\x00abcd",
    ):
        assert bench.ask(wrong)[0] in (1, 3), wrong.hex()
        assert bench.ask("300802") == b"\x03", "no rights"
    assert bench.server.state is State.SESSION
    for malformed in ("53", "5309", "53090011", "530a00" + "11" * 8):
        assert bench.ask(malformed) == b"\x01"
    bare = CallBench(ModelDevice())
    identification = bare.ask("20")
    assert identification == bytes.fromhex("0002010000"), "not announced"
    bare.ask("500002" + b"OPERATOR  ".hex())
    assert bare.ask(proving(TICKET)) == b"\x02"


@check("D103", MEMORY)
def test_every_identification_has_a_ticket_of_its_own() -> None:
    bench, tickets = CallBench(), set()
    for _ in range(3):
        tickets.add(bench.ask("20")[8:16])
        bench.ask("21")
    assert len(tickets) == 3


@check("D104", TWO)
def test_a_proof_of_an_earlier_session_is_refused() -> None:
    bench = CallBench()
    recorded = proving(bench.log_on())
    assert bench.ask(recorded)[0] == 0
    bench.ask("21")
    bench.log_on()
    assert bench.ask(recorded) == b"\x03"
    assert bench.device.proved == [0]  # type: ignore[attr-defined]


@check("D105", ONE)
def test_disconnect_is_ok_in_every_state_and_hangs_up_after_the_ack() -> None:
    for before in ((), ("20",), ("20", "500002" + b"OPERATOR  ".hex())):
        bench = CallBench()
        for message in before:
            bench.ask(message)
        said = bench.hear(bench.packet(b"\x22"))
        assert said[:1] == ACK and said[7:8] == b"\0" and not bench.hung_up
        bench.hear(ACK)
        assert bench.hung_up and bench.server.state is State.BASE
    unheard = CallBench()
    unheard.hear(unheard.packet(b"\x22"), 60)
    assert unheard.hung_up, "nobody is there any more"


@check("D106", CHOICE)
def test_a_lost_carrier_ends_the_session_and_the_next_call_starts_clean() -> None:
    bench = CallBench()
    bench.ask(proving(bench.log_on()))
    bench.ask("21")
    bench.log_on()
    assert bench.ask("51" + b"secret".ljust(20).hex()) == b"\0"
    bench.hear(bench.packet(b"\x30\x00\x00")[:9])
    bench.server.line_lost(bench.now_us)
    assert bench.server.state is State.BASE and not bench.device.trusted
    bench.log_on()
    assert bench.ask("300802") == b"\x03" and not bench.hung_up


@check("D105", TWO)
def test_the_transcript_of_a_call_is_reproduced_octet_by_octet() -> None:
    bench = CallBench()
    bench.device.tables[1] = b"DEMOMETER-1 " + bytes([1, 0, 1, 0]) + b"0000000000000042"
    lines = [
        v for v in json.loads(VECTORS.read_text())["frames"] if v["name"].startswith("tr_c1221")
    ]
    assert len(lines) == 16
    said = b""
    for line in lines:
        octets = bytes.fromhex(line["hex"])
        if line["direction"] == "c2d":
            said = bench.hear(octets)
        else:
            assert said == ACK + octets, f"{said.hex()} is not {line['name']}"
            assert bench.hear(ACK) == b""
    assert bench.hung_up

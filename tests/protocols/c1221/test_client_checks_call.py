"""C12.21's numbered checks of a client, against the device of this project and one made by hand."""

from dataclasses import replace

import pytest

from protocols.c1218.client import ClientOptions
from protocols.c1218.scripts import LogonSettings, Opened, read_table, write_table
from protocols.c1218.steps import Script
from protocols.c1221.authentication import proof
from protocols.c1221.profile import TIMING, TRAFFIC_US
from protocols.c1221.scripts import (
    DEFAULT_SETUP,
    NotGenuine,
    authenticate,
    close_call,
    open_call,
)
from protocols.errors import (
    LinkError,
    LocalProtocolError,
    OutcomeUnknown,
    RemoteProtocolError,
    ServiceRefused,
    SessionEnded,
)
from protocols.machine import HangUp
from protocols.psem.codes import ResponseCode
from protocols.psem.identification import Identification
from protocols.psem.services import Negotiate, Request, Response, TimingSetup
from protocols.quirks import Quirk
from tests.protocols.c1218.checks import ONE, TWO, check
from tests.protocols.c1218.device_bench import ModelDevice
from tests.protocols.c1221.call import IDENTITY, KEY, TICKET, Call, KeyedDevice

OPERATOR = LogonSettings(2, b"OPERATOR")


def with_key(call: Call, timing: TimingSetup = DEFAULT_SETUP) -> Script[Opened]:
    return open_call(OPERATOR, call.client.quirks, (0, KEY), timing)


def requests(call: Call) -> list[int]:
    """The service codes of what the client said, each once."""
    codes = []
    for said in call.said:
        at = said.find(b"\xee")
        if at >= 0 and (not codes or codes[-1] != said[at + 6]):
            codes.append(said[at + 6])
    return codes


@check("C76", ONE)
def test_the_answer_to_timing_setup_is_used_not_the_request() -> None:
    call = Call()
    call.run(open_call(LogonSettings(), timing=TimingSetup(20, 0, 7, 2)))
    timing = call.client._link.timing
    assert (timing.response_us, timing.inter_character_us) == (7_000_000, 1_000_000)
    assert timing.retries == 2 and call.client._options.answer_timeout_us == 20_000_000
    call.client.line_lost(LinkError("carrier"), call.bench.now_us)
    assert call.client._link.timing.response_us == 4_000_000, "a new call begins anew"


def test_a_call_without_a_key_does_without_features_that_cannot_be_read() -> None:
    told = Response(ResponseCode.ok, bytes.fromhex("020100 0201000801"))
    script = open_call(OPERATOR)
    next(script)
    script.send(told)
    with pytest.raises(StopIteration) as ended:
        while True:  # set-up of timing, Negotiate, Logon
            script.send(Response(ResponseCode.ok))
    assert ended.value.value.identification == told.data
    script = open_call(OPERATOR, key=(0, KEY))
    next(script)
    with pytest.raises(RemoteProtocolError, match="ends inside a feature"):
        script.send(told)


@check("C77", TWO)
def test_authenticate_is_sent_only_when_announced_and_is_des_of_the_ticket() -> None:
    call = Call()
    opened = call.run(with_key(call))
    assert opened.key_accepted is True and opened.identification[0] == 2
    sent = next(said for said in call.said if b"\x53\x09" in said)
    assert sent[sent.index(b"\x53") :][:11] == b"\x53\x09\x00" + bytes.fromhex("492b274f0ab4dbce")
    bare = Call(ModelDevice())
    without = bare.run(with_key(bare))
    assert without.key_accepted is None and without.key_unused and not opened.key_unused
    assert 0x53 not in requests(bare)


@check("C78", ONE)
def test_a_device_that_does_not_prove_the_key_is_left() -> None:
    call = Call()
    call.bench.server._authenticate = (  # type: ignore[method-assign]
        lambda key_id, block, now_us: Response(ResponseCode.ok, b"\x09\x00" + bytes(8))
    )
    with pytest.raises(NotGenuine, match="not genuine"):
        call.run(with_key(call))
    assert requests(call)[-1] == 0x21, "the session is closed"


@check("C79", ONE)
def test_a_refused_proof_is_not_tried_again_with_the_same_ticket() -> None:
    call = Call()
    opened = call.run(open_call(LogonSettings(password=b"secret"), key=(0, b"wrongkey")))
    assert opened.key_accepted is False and opened.password_accepted is True
    assert requests(call).count(0x53) == 1


def test_a_session_that_is_over_tells_nothing_of_the_key() -> None:
    call = Call()
    device = Identification(2, auth_type=1, auth_algorithm=0, ticket=TICKET)
    with pytest.raises(SessionEnded):
        call.run(authenticate(0, KEY, device))


@check("C80", TWO)
@pytest.mark.parametrize(("ticket", "algorithm"), [(b"seven77", 0), (bytes(16), 0), (TICKET, 0xFF)])
def test_a_ticket_that_is_none_for_des_is_refused_here(ticket: bytes, algorithm: int) -> None:
    call = Call()
    answer = Identification(2, auth_type=1, auth_algorithm=algorithm, ticket=ticket).encode()
    call.bench.server._identification = (  # type: ignore[method-assign]
        lambda: Response(ResponseCode.ok, answer)
    )
    with pytest.raises(LocalProtocolError, match="DES with 8"):
        call.run(with_key(call))
    assert 0x53 not in requests(call)


@check("C81", ONE)
def test_a_call_ends_with_disconnect_and_both_ends_hang_up() -> None:
    call = Call()
    call.run(with_key(call))
    assert call.run(read_table(2050, call.client.limits)) == b"for who has the password"
    call.run(close_call())
    for _ in range(20):
        call.step()
    assert requests(call)[-2:] == [0x52, 0x22]
    assert call.bench.hung_up
    assert any(isinstance(event, HangUp) for event in call.client_events)


@check("C81", ONE)
def test_a_write_under_way_when_the_carrier_goes_has_an_unknown_outcome() -> None:
    call = Call()
    call.run(with_key(call))
    call.client.run(write_table(5, bytes(20), call.client.limits), None, call.bench.now_us)
    call.client.outgoing()
    call.client.line_lost(LinkError("the carrier is lost"), call.bench.now_us)
    [event] = call.client.events()
    assert isinstance(event.error, OutcomeUnknown)  # type: ignore[attr-defined]


@check("C21", ONE)
def test_an_answer_of_another_device_on_the_line_is_ignored() -> None:
    options = ClientOptions(identity=IDENTITY, timing=Call().client._options.timing)
    call = Call(options=options)
    opened = call.run(with_key(call))
    assert opened.key_accepted and call.bench.device.proved == [0]  # type: ignore[attr-defined]
    for _ in range(3):
        call.step()
    stranger = call.bench.packet(b"\x21", identity=9)
    call.client.receive(stranger, call.bench.now_us)
    call.client.expire(call.bench.now_us + 1000)
    assert call.client.outgoing() == b"", "neither acknowledged nor heeded"


@pytest.mark.parametrize("missing", [(TimingSetup,), (Negotiate,), (TimingSetup, Negotiate)])
def test_without_timing_setup_or_negotiate_a_device_is_used_as_it_is(
    missing: tuple[type[Request], ...],
) -> None:
    call = Call()
    server = call.bench.server
    refusals = dict.fromkeys(missing, ResponseCode.sns)
    server._options = replace(server._options, refusals=refusals)
    call.run(with_key(call, TimingSetup(30, 1, 4, 3)))
    assert call.client._link.timing == TIMING and TRAFFIC_US == 30_000_000
    assert call.client.quirks.met[Quirk.SERVICE_MISSING] == len(missing), "and that is told"
    assert call.run(read_table(0, call.client.limits)) == bytes(range(40))


def test_a_device_that_refuses_the_logon_is_told() -> None:
    with pytest.raises(ServiceRefused):
        Call().run(open_call(LogonSettings(user_id=100)))


def test_single_des_is_that_of_the_published_examples() -> None:
    known = bytes.fromhex("133457799bbcdff1"), bytes.fromhex("0123456789abcdef")
    assert proof(*known).hex() == "85e813540f0ab405"
    first = proof(KEY, TICKET)
    assert first.hex() == "492b274f0ab4dbce" and proof(KEY, first).hex() == "74b604935d984216"
    for key, block in ((b"short", TICKET), (KEY, b"")):
        with pytest.raises(LocalProtocolError, match="DES takes 8"):
            proof(key, block)
    assert isinstance(KeyedDevice(), ModelDevice)

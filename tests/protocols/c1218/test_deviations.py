"""The client adapts to every deviation, singly and in pairs, and says which it met."""

from itertools import combinations
from random import Random
from typing import Any

import pytest

from protocols.c1218.client import Client, ClientOptions, ScriptDone, ScriptFailed
from protocols.c1218.conversation import Conversation
from protocols.c1218.grant import granted
from protocols.c1218.scripts import LogonSettings, Padding, open_session, prove
from protocols.datalink.link import Collision, Link, MessageReceived
from protocols.datalink.packet import TOGGLE, Packet
from protocols.errors import LinkError, NotAnswered, OutcomeUnknown, ServiceRefused
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Identify, Logon, Negotiate, Response
from protocols.quirks import Quirk, Quirks
from tests.protocols.c1218.deviations import (
    CONTRADICTION,
    IMAGES,
    MADE,
    MASKS,
    Deviant,
    settings_for,
)
from tests.protocols.c1218.line import Line

PAIRS = [pair for two in combinations(MADE, 2) if (pair := frozenset(two)) != CONTRADICTION]
DRAWN = Random(18).sample(PAIRS, 60)
#: What a client does otherwise, once it has met it: a meter that is not so would not understand.
SWAYING = [Quirk.ECHO, Quirk.CRC_SWAPPED, Quirk.ONES_COMPLEMENT]
NEW = b"twenty octets anew.."


def label(quirks: frozenset[Quirk]) -> str:
    return "+".join(sorted(quirk.label for quirk in quirks))


def visit(
    quirks: frozenset[Quirk],
    options: ClientOptions | None = None,
    client: Client | None = None,
    begin_us: int = 0,
) -> Conversation:
    """Make a whole visit to a deviating meter, and hold that all of it is right."""
    talk = Conversation(settings_for(quirks), options)
    talk.client = client or talk.client
    far = Deviant(quirks, client_baud=lambda: talk.client.baud)
    line = Line(talk.client, far, Random(1), now_us=begin_us)  # type: ignore[arg-type]

    def done(script: object) -> object:
        end = line.run(script)
        if isinstance(end, ScriptFailed):
            raise end.error
        assert isinstance(end, ScriptDone)
        return end.result

    done(talk.open())
    for table in (0, 6):
        try:
            assert done(talk.read(table)) == IMAGES[table]
        except ServiceRefused as refusal:
            # The one deviation that is a refusal: the next request is served again.
            assert Quirk.PRIVATE_CODE in quirks and refusal.code == 0x1E
            assert done(talk.read(table)) == IMAGES[table]
    try:
        done(talk.write(5, NEW))
    except OutcomeUnknown:
        # Never repeated silently: the caller looks, and decides.
        assert Quirk.ENDED_BY_METER in quirks
        if done(talk.read(5)) != NEW:
            done(talk.write(5, NEW))
    assert far.device.tables[5] == NEW and len(far.device.writes) == 1
    assert done(talk.read(5)) == NEW
    done(talk.keep_alive(10))
    line.now_us += 5_000_000
    assert done(talk.read_part(6, 650, 100)) == IMAGES[6][650:]
    done(talk.close())
    return talk


@pytest.mark.parametrize(
    ("answer", "octets", "met"),
    [
        ("0040 01 06", 64, []),
        ("003f 01 06", 63, [Quirk.SMALL_BUFFER]),
        ("0020 01 06", 32, [Quirk.SMALL_BUFFER]),
        ("0100 04 06", 256, []),
        ("0101 04 06", 256, [Quirk.GRANT_TOO_LARGE]),
        ("0100 05 06", 256, [Quirk.GRANT_TOO_LARGE]),
        ("0100 04", 256, [Quirk.NO_BAUD_ANSWERED]),
        ("001f 01 06", None, []),
        ("0040 00 06", None, []),
        ("0040", None, []),
    ],
)
def test_what_a_meter_grants_is_taken_within_what_was_asked(
    answer: str, octets: int | None, met: list[Quirk]
) -> None:
    quirks = Quirks()
    grant = granted(Negotiate(256, 4, (9600,)), bytes.fromhex(answer), 512, quirks)
    assert (grant and grant.packet_octets, list(quirks.met)) == (octets, met)


@pytest.mark.parametrize("quirk", MADE, ids=lambda quirk: f"{quirk.number}-{quirk.label}")
def test_a_client_copes_with_a_deviation_and_names_it(quirk: Quirk) -> None:
    talk = visit(frozenset({quirk}))
    assert quirk in talk.client.quirks.met


def test_a_plain_meter_shows_no_deviation() -> None:
    assert not visit(frozenset()).client.quirks.met


@pytest.mark.parametrize("quirk", SWAYING, ids=lambda quirk: quirk.label)
@pytest.mark.parametrize("goes", [True, False], ids=["goes", "comes"])
def test_a_client_that_was_moved_to_another_meter_learns_what_that_is_like(
    quirk: Quirk, goes: bool
) -> None:
    kinds = frozenset({quirk}), frozenset[Quirk]()
    before, after = kinds if goes else reversed(kinds)
    client = visit(before).client
    for attempt in range(1, 4):  # as a module tries again
        try:
            talk = visit(after, None, client, attempt * 1_000_000_000)
            break
        except LinkError:
            continue
    assert talk.opened is not None and talk.opened.password_accepted
    assert (quirk in talk.client.quirks.met) != goes


@pytest.mark.parametrize("swaps", [True, False], ids=["swaps", "plain"])
def test_a_checksum_of_two_equal_octets_does_not_change_what_is_known_of_their_order(
    swaps: bool,
) -> None:
    packets = (Packet(n.to_bytes(2, "big"), TOGGLE) for n in range(1 << 16))
    equal = next(one.encode() for one in packets if one.encode() == one.encode(crc_swapped=True))
    link = Link(Collision.REPEAT, quirks=Quirks())
    for octets in (Packet(b"learnt from this").encode(crc_swapped=swaps), equal):
        assert any(isinstance(event, MessageReceived) for event in link.receive(octets, 0))
    link.expire(1_000)
    assert link.outgoing() == b"\x06\x06"
    link.send(b"request", 1_000)
    assert link.outgoing() == Packet(b"request").encode(crc_swapped=swaps)
    assert link.quirks.on(Quirk.CRC_SWAPPED) == swaps


def test_a_password_wanted_with_nuls_is_given_with_spaces_to_a_meter_that_wants_those() -> None:
    quirks = Quirks()
    quirks.note(Quirk.PADDING)
    script, tried = prove(b"secret", Padding.AUTO, quirks), []
    request: Any = next(script)
    with pytest.raises(StopIteration) as end:
        while True:
            tried.append(request.password)
            right = request.password == b"secret".ljust(20)
            request = script.send(Response(0 if right else ResponseCode.err))
    assert end.value.value is True and tried == [b"secret".ljust(20, b"\0"), b"secret".ljust(20)]
    assert not quirks.on(Quirk.PADDING)


def test_a_session_that_did_not_negotiate_tells_nothing_of_speeds_when_it_fails() -> None:
    quirks = Quirks()
    script = open_session(LogonSettings(bauds=(9600,), negotiate=False), quirks)
    assert next(script) == Identify()
    assert isinstance(script.send(Response(ResponseCode.ok, b"\0\1\0\0")), Logon)
    with pytest.raises(NotAnswered):
        script.throw(NotAnswered("silence"))
    assert not quirks.met


def holds_of_a_pair(pair: frozenset[Quirk]) -> None:
    talk = visit(pair)
    for quirk in pair:
        assert quirk in talk.client.quirks.met or MASKS.get(quirk, frozenset()) & pair


@pytest.mark.parametrize("pair", DRAWN, ids=label)
def test_a_client_copes_with_two_deviations_at_once(pair: frozenset[Quirk]) -> None:
    holds_of_a_pair(pair)


def test_an_answer_left_over_does_not_hide_that_the_toggle_bit_stands_still() -> None:
    holds_of_a_pair(frozenset({Quirk.STALE_ANSWER, Quirk.TOGGLE_STUCK}))


@pytest.mark.night
@pytest.mark.parametrize("pair", PAIRS, ids=label)
def test_a_client_copes_with_every_pair_of_deviations(pair: frozenset[Quirk]) -> None:
    holds_of_a_pair(pair)


@pytest.mark.parametrize(
    "quirk", [Quirk.ECHO, Quirk.WAKE_UP, Quirk.CRC_SWAPPED, Quirk.ONES_COMPLEMENT]
)
def test_a_deviation_that_is_assumed_costs_no_finding_out(quirk: Quirk) -> None:
    visit(frozenset({quirk}), ClientOptions(assume=frozenset({quirk})))

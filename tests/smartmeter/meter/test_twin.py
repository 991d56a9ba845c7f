"""A twin answers like its original; a clone of the clone is the same file."""

import contextlib
import json
from dataclasses import replace
from random import Random

import pytest

from ansi_tables import Snapshot
from protocols.c1218.client import Client, ScriptDone
from protocols.c1218.scripts import LogonSettings, open_session
from protocols.c1218.server import Server, ServerOptions
from protocols.errors import SessionEnded
from protocols.machine import Machine, SetBaud
from protocols.psem.codec import block
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    READS,
    DefaultRead,
    FullRead,
    Identify,
    Logon,
    Negotiate,
    Request,
    Response,
    Security,
)
from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.meter.blanking import shareable, without_secrets
from smartmeter.meter.cloning import CloneSettings, Cloning
from smartmeter.meter.image import LinkImage, MeterImage, Timings
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from smartmeter.meter.sample import measured_meter
from smartmeter.meter.twin import TwinPasswords
from tests.protocols.c1218.line import Line
from tests.smartmeter.meter import sessions
from tests.smartmeter.meter.sessions import IMAGE, OPEN, twin


def compare(seeds: range) -> None:
    numbers = sorted(IMAGE.tables)
    sizes = {number: len(octets) for number, octets in IMAGE.tables.items()}
    for seed in seeds:
        steps = sessions.session(Random(seed), numbers, sizes)
        theirs = sessions.answers(sessions.original(), steps)
        assert sessions.answers(twin(), steps) == theirs, (seed, steps)


def test_three_hundred_sessions_do_not_tell_the_twin_from_the_original() -> None:
    compare(range(300))


@pytest.mark.night
def test_ten_thousand_sessions_do_not_tell_the_twin_from_the_original() -> None:
    compare(range(1000, 11_000))


def test_a_clone_of_the_clone_is_the_same_file() -> None:
    again = sessions.clone(twin(), OPEN)
    assert again.to_json() == IMAGE.to_json()
    assert MeterImage.from_json(IMAGE.to_json()) == IMAGE
    assert IMAGE.tables[64] and IMAGE.locked[76] is ResponseCode.isc
    assert IMAGE.refused == {7: ResponseCode.iar, 42: ResponseCode.isc}


class OnesComplement(Server):
    """The server of a meter whose table checksums are one's complements (Q22)."""

    def _dispatch(self, request: Request, now_us: int) -> Response:
        response = super()._dispatch(request, now_us)
        if not isinstance(request, (*READS, DefaultRead)):
            return response
        right = response.data[-1]
        return replace(response, data=response.data[:-1] + bytes([(right - 1) & 0xFF]))


def test_a_meter_with_other_checksums_is_cloned_its_default_table_too() -> None:
    machine = twin(replace(IMAGE, link=replace(IMAGE.link, default_table=5)))
    machine._server = OnesComplement(machine.device, machine._options)
    again = sessions.clone(machine, OPEN)
    assert again.tables == IMAGE.tables and again.link.default_table == 5


class Watched:
    """A meter that notes each request that reaches it."""

    def __init__(self) -> None:
        self.machine = sessions.original()
        self.heard = b""

    def __getattr__(self, name: str) -> object:
        return getattr(self.machine, name)

    def receive(self, data: bytes, now_us: int) -> None:
        self.heard += data
        self.machine.receive(data, now_us)


def test_what_sources_leave_open_is_learnt_from_the_original() -> None:
    link = replace(IMAGE.link, past_end=False, zero_count=ResponseCode.err, packet_octets=200)
    strict = replace(IMAGE, link=replace(link, refusals={"Wait": ResponseCode.sns}))
    again = sessions.clone(twin(strict), OPEN)
    assert again.link.past_end is False and again.link.zero_count is ResponseCode.err
    assert again.link.packet_octets == 200
    assert again.link.refusals["Wait"] is ResponseCode.sns
    assert dict(again.tables) == dict(strict.tables)


@pytest.mark.parametrize("octets, kept", [(32, 32), (9000, 8192)])
def test_a_clone_of_a_meter_that_grants_less_or_more_than_it_may_can_be_served(
    octets: int, kept: int
) -> None:
    options = ServerOptions(octets, identification=b"\0\1", min_packet_octets=octets)
    image = sessions.clone(Server(twin().device, options), OPEN)
    assert image.link.packet_octets == kept
    again = MeterImage.from_json(image.to_json())
    assert sessions.clone(twin(again), OPEN).to_json() == image.to_json()


def test_cloning_writes_nothing_and_leaves_no_trace_in_the_meter() -> None:
    watched: Machine = Watched()  # type: ignore[assignment]
    before = sessions.answers(sessions.original(), [Identify(), Logon(0, b""), FullRead(3)])
    sessions.clone(watched, CloneSettings())
    assert sessions.answers(watched, [Identify(), Logon(0, b""), FullRead(3)]) == before
    codes = set()
    heard = watched.heard  # type: ignore[attr-defined]
    while (at := heard.find(b"\xee")) >= 0:
        length = int.from_bytes(heard[at + 4 : at + 6], "big")
        codes.add(heard[at + 6])
        heard = heard[at + 8 + length :]
    assert codes <= {0x20, 0x21, 0x30, 0x31, 0x3E, 0x3F, 0x50, 0x52, 0x60, 0x61, 0x70}


def test_a_clone_without_password_holds_what_the_meter_shows_to_anyone() -> None:
    closed = sessions.clone(sessions.original(), CloneSettings())
    assert 23 in closed.tables and 76 not in closed.tables and not closed.locked
    assert closed.refused[76] is ResponseCode.isc
    steps = [Identify(), Logon(0, b""), FullRead(76), FullRead(23)]
    assert sessions.answers(twin(closed), steps) == sessions.answers(sessions.original(), steps)


def test_a_table_that_is_refused_otherwise_with_the_password_is_so_in_the_clone() -> None:
    tables = {number: octets for number, octets in IMAGE.tables.items() if number != 76}
    refused, locked = {76: ResponseCode.dlk}, {**IMAGE.locked, 76: ResponseCode.isc}
    meter = replace(IMAGE, tables=tables, refused=refused, locked=locked)
    again = sessions.clone(twin(meter), OPEN)
    assert again.refused[76] is ResponseCode.dlk and again.locked == locked
    steps = [Identify(), Logon(0, b""), FullRead(76), Security(b"reader"), FullRead(76)]
    codes = [code for code, _ in sessions.answers(twin(again), steps)[2:5]]
    assert codes == [ResponseCode.isc, ResponseCode.ok, ResponseCode.dlk]


def test_a_file_with_another_meter_is_not_taken_up() -> None:
    other = MeterImage({0: IMAGE.tables[0], 1: bytes(32)})
    cloning = Cloning(CloneSettings(), list, lambda done, total: None, other)
    client = Client()
    with pytest.raises(SmartMeterError, match="another meter"):
        sessions.converse(client, sessions.original(), cloning.script(client.limits))


def test_a_table_or_grant_that_is_none_is_left_out_and_a_lost_session_is_no_refusal() -> None:
    general = bytearray(IMAGE.tables[0])
    general[13:19] = 1, 0, 0, 0, 0, 0
    tables = {0: bytes(general[:19]) + b"\x2b\x2b", 1: IMAGE.tables[1], 5: IMAGE.tables[5]}
    cloning = Cloning(CloneSettings(), list, lambda done, total: None)

    def answer(request: object) -> Response:
        table = getattr(request, "table", None)
        if table == 3 or not isinstance(request, FullRead | Identify | Logon | Negotiate):
            return Response(lost if table == 3 else ResponseCode.sns)
        if isinstance(request, Negotiate):
            return Response(ResponseCode.ok, b"\1\0\0\6")  # 256 octets, in no packet
        if table is None:
            return Response(ResponseCode.ok, b"\0\1\0\0")
        wrong = b"\0" if table == 5 else b""
        return Response(ResponseCode.ok, block(tables[table]) + wrong)

    def converse() -> None:
        script = cloning.script(Client().limits)
        with contextlib.suppress(StopIteration):
            step = next(script)
            while True:
                step = script.send(answer(step))

    lost = ResponseCode.rno
    with pytest.raises(SessionEnded, match="rno"):
        converse()
    lost = ResponseCode.isc
    converse()
    image = cloning.image()
    assert image.missing == (5,) and image.refused == {3: ResponseCode.isc}
    assert sorted(image.tables) == [0, 1] and "announces" in cloning.faults[5]
    assert (image.link.packet_octets, image.link.packets) == (64, 1)


def test_secrets_are_blanked_and_keep_their_shape() -> None:
    full = MeterImage(IMAGE.tables | {42: b"\xaa" * 42, 45: b"\xbb" * 9}, passwords=(b"secret",))
    bare = without_secrets(full)
    assert bare.passwords == () and b"\xbb" not in bare.tables[45]
    assert {n: len(o) for n, o in bare.tables.items()} == {
        n: len(o) for n, o in full.tables.items()
    }
    assert b"\xaa\xaa" not in bare.tables[42] and bare.blanked


def test_a_name_within_a_longer_one_leaves_nothing_of_it_in_a_shared_image() -> None:
    name = b"SM000001-ELM-STREET"  # begins with the serial number
    named = {**IMAGE.tables, 5: name.ljust(20), 2100: b"\1" + name + b"\2"}
    shared = shareable(MeterImage(named, IMAGE.identity))
    assert shared.tables[2100] == b"\1" + b" " * len(name) + b"\2"


def test_a_serial_number_of_digits_is_in_no_table_of_a_shared_image() -> None:
    settings = MeterSettings(profile=PROFILES["bcd-1997"], serial="SM596853")
    meter = measured_meter(settings, sessions.NOON_UTC_US, 0)
    image = sessions.clone(meter, OPEN)
    serial = bytes.fromhex("0000000000596853")
    assert serial in image.tables[1]
    held = {2100: b"\1" + serial + b"\2", 2101: b"\1" + serial[:-1] + b"\2"}
    shared = shareable(replace(image, tables=image.tables | held))
    assert shared.tables[2100] == b"\1" + bytes(8) + b"\2"
    assert shared.tables[2101] == held[2101]
    assert all(serial not in octets for octets in shared.tables.values())


@pytest.mark.parametrize("profile", ["bcd-1997", "residential"])
def test_a_name_that_was_never_given_takes_nothing_out_of_a_shared_image(profile: str) -> None:
    meter = measured_meter(MeterSettings(profile=PROFILES[profile]), sessions.NOON_UTC_US, 0)
    image = sessions.clone(meter, OPEN)
    unset = {5: b"\xff" * len(image.tables[5]), 2100: b"\1" + b"\xff" * 40}
    shared = shareable(replace(image, tables=image.tables | unset))
    assert shared.tables[2100] == unset[2100] and b"\xff" not in shared.tables[5]


def test_a_shared_image_names_nobody_and_keeps_every_shape() -> None:
    named = dict(IMAGE.tables)
    named[2060] = b"abc SM000001 xyz"
    shared = shareable(MeterImage(named, IMAGE.identity))
    assert all(b"SM000001" not in octets for octets in shared.tables.values())
    assert "SM000001" not in shared.to_json()
    assert {n: len(o) for n, o in shared.tables.items()} == {n: len(o) for n, o in named.items()}
    profile = Snapshot(shared.tables)[64].LP_DATA_SET1
    assert all(not any(interval.INT_DATA) for block in profile for interval in block.LP_INT)
    assert profile[0].BLK_END_TIME == Snapshot(named)[64].LP_DATA_SET1[0].BLK_END_TIME


def test_an_outage_returns_a_twin_to_the_speed_at_which_its_port_begins() -> None:
    link = replace(IMAGE.link, bauds=(9600, 19200))
    machine = twin(replace(IMAGE, link=link, timings=Timings()))
    line = Line(Client(), machine, Random(1))  # type: ignore[arg-type]
    assert isinstance(line.run(open_session(LogonSettings(bauds=(19200,)))), ScriptDone)
    for on in (False, True):
        machine.mains(on, line.now_us)
    assert [*machine.events()] == [SetBaud(9600)] and not machine.events()


def test_a_twin_takes_as_long_as_its_original() -> None:
    slow = MeterImage(IMAGE.tables, timings=Timings(50, 100, {23: 700}))
    machine = twin(slow)
    packet = bytes.fromhex("ee00000000012013 10")
    machine.receive(packet, 0)
    seen = []
    for now_us in range(0, 400_000, 10_000):
        machine.expire(now_us)
        if data := machine.outgoing():
            seen.append((now_us, data[:1]))
            machine.sent(now_us)
    assert [(now_us // 50_000, start) for now_us, start in seen] == [(1, b"\x06"), (3, b"\xee")]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"link": {"packet_octets": 12}}, "link.packet_octets"),
        ({"link": {"bauds": [9600, 7]}}, "7 is no baud rate"),
        ({"link": {"refusals": {"Fly": "sns"}}}, "Fly"),
        ({"refused": {"7": "ok"}}, "refused.7"),
        ({"refused": {"seven": "iar"}}, "no table number"),
        ({"timings": {"answer_ms": 10**9}}, "timings.answer_ms"),
        ({"timings": {"tables": {"23": -1}}}, "timings.tables.23"),
        ({"passwords": ["zz"]}, "hexadecimal"),
        ({"tables": {"1": "00"}}, "ST-00"),
        ({"link": {"identification": "00"}}, "identification"),
        ({"locked": []}, "locked"),
    ],
)
def test_a_wrong_image_is_refused_by_the_key(change: dict[str, object], words: str) -> None:
    image = json.loads(IMAGE.to_json()) | change
    with pytest.raises(SettingsError, match=words) as refusal:
        MeterImage.from_json(json.dumps(image), "meter.json")
    assert str(refusal.value).startswith("meter.json")


def test_wrong_passwords_lock_a_twin_as_they_lock_a_meter() -> None:
    passwords = TwinPasswords()
    assert [passwords.check(b"wrong", 0) for _ in range(6)][-2:] == [
        ResponseCode.err,
        ResponseCode.isc,
    ]
    assert passwords.check(b"reader", 10_000_000) is ResponseCode.ok


def test_an_image_with_tables_only_is_served_by_defaults() -> None:
    bare = {"format": "smartmeter-image/1", "tables": {"0": IMAGE.tables[0].hex()}}
    image = MeterImage.from_json(json.dumps(bare))
    assert image.link == LinkImage()

"""Reading over the network: a device on a real socket, its refusals, and names that are none."""

import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from protocols.c1222.access import AccessDesk, Rights, Task
from protocols.c1222.node import NodeSettings, RequestArrived
from protocols.c1222.security import EaxPrime
from protocols.c1222.server import Refused
from protocols.c1222.services import LOGON
from protocols.errors import LinkError, OutcomeUnknown, PortError, ProtocolError, ServiceRefused
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Response
from protocols.transports import apdu_connection, network_meter
from protocols.transports.network_meter import NetworkMeter, read_table
from protocols.transports.network_name import Carried, parse_name
from tests.ports import free_port
from tests.protocols.c1222.conversation import (
    KEY,
    KEY_ID,
    PASSWORD,
    READ_1,
    Tables,
    Talk,
    request,
)
from tests.protocols.c1222.wireshark import tshark
from tests.protocols.transports.network_device import (
    KEYS,
    SECURITY,
    InSession,
    answering_once,
    by_datagrams,
    device,
    relay_says,
)
from tests.smartmeter.cli.served import smartmeter
from tests.smartmeter.meter.sessions import original


def test_tables_are_read_secured_and_refusals_are_named() -> None:
    with device(NodeSettings()) as (name, _), NetworkMeter(name, KEYS) as meter:
        assert meter.read(1)[:4] == b"SMOP"
        with pytest.raises(ServiceRefused, match="isc"):
            meter.read(42)
    with device(NodeSettings()) as (name, _), NetworkMeter(name, KEYS, PASSWORD, 2) as meter:
        assert meter.read(0) == b"zero"


def test_a_password_that_is_refused_is_tried_once_and_what_needs_no_right_is_read() -> None:
    with device(NodeSettings()) as (name, served):
        with NetworkMeter(name, KEYS, b"wrong") as meter:
            assert meter.read(1)[:4] == b"SMOP" and meter.password_accepted is False
            with pytest.raises(ServiceRefused, match="isc"):
                meter.read(42)
        with (
            NetworkMeter(name, KEYS, b"wrong") as meter,
            pytest.raises(ServiceRefused, match="the password"),
        ):
            meter.write(3, b"whole")
        told = {"SMARTMETER_C1222_KEYS": f"{KEY_ID}={KEY.hex()}", "SMARTMETER_PASSWORD": "wrong"}
        served.talk.tables.images[0] = original().table(0, 0)
        done = smartmeter("read", name, "1", **told)
        assert done.returncode == 0 and "MANUFACTURER" in done.stdout, done.stderr
        assert done.stderr.count("the meter refused the password") == 1


def test_tables_are_written_whole_and_in_part_and_only_with_the_right_to_it() -> None:
    with device(NodeSettings()) as (name, served):
        with NetworkMeter(name, KEYS, PASSWORD, 2) as meter:
            meter.write(3, b"whole")
            assert meter.read(3) == b"whole"
            meter.write_part(3, 0, b"parts")
            assert meter.read_part(3, 1, 3) == b"art"
        with NetworkMeter(name, KEYS) as meter, pytest.raises(ServiceRefused, match="isc"):
            meter.write(3, b"wrong")
        assert served.talk.tables.images[3] == b"parts"


class SessionDesk(AccessDesk):
    """A desk that takes passwords in sessions alone."""

    passwords = 0

    def screen(self, message: RequestArrived, now_us: int) -> list[bytes | Task]:
        first = message.services[0][0]
        if first == SECURITY and self.sessions.get(message.calling, now_us) is None:
            return [bytes([ResponseCode.isss])]
        self.passwords += sum(one[0] == SECURITY for one in message.services)
        return super().screen(message, now_us)


def test_a_password_that_is_refused_in_a_session_is_tried_once_and_the_session_is_ended() -> None:
    tables = InSession()
    with device(NodeSettings(), tables) as (name, served):
        server = served.talk.server
        tables.sessions = server.node.sessions
        desk = server._desk = SessionDesk(tables.sessions, tables, b"")
        with NetworkMeter(name, KEYS, b"wrong") as meter:
            assert meter.read(1)[:4] == b"SMOP" and meter.password_accepted is False
            assert meter.read(1)[:4] == b"SMOP" and desk.passwords == 1
        assert len(tables.sessions) == 0
        with (
            NetworkMeter(name, KEYS, b"wrong") as meter,
            pytest.raises(ServiceRefused, match="the password"),
        ):
            meter.write(3, b"whole")


def test_a_device_that_serves_nothing_outside_sessions_is_logged_on_to_and_off() -> None:
    tables = InSession()
    with device(NodeSettings(), tables) as (name, served):
        tables.sessions = served.talk.server.node.sessions
        with NetworkMeter(name, KEYS, PASSWORD, 2, user=b"READER") as meter:
            assert meter.read(1)[:4] == b"SMOP" and len(tables.sessions) == 1
            tables.sessions.end_all()  # it was idle for too long
            meter.write(3, b"whole")
            assert meter.read(3) == b"whole" and len(tables.sessions) == 1
        assert len(tables.sessions) == 0
        with NetworkMeter(name, KEYS, b"wrong") as meter:
            assert meter.read(1)[:4] == b"SMOP" and meter.password_accepted is False


class NobodysDesk(AccessDesk):
    """A desk that knows no user."""

    def screen(self, message: RequestArrived, now_us: int) -> list[bytes | Task]:
        if message.services[0][0] == LOGON:
            return [bytes([ResponseCode.iar])]
        return super().screen(message, now_us)


def test_a_log_on_that_is_refused_asks_for_another_user_and_not_for_another_table() -> None:
    tables = InSession()
    with device(NodeSettings(), tables) as (name, served):
        server = served.talk.server
        tables.sessions = server.node.sessions
        server._desk = NobodysDesk(tables.sessions, tables, b"")
        with (
            NetworkMeter(name, KEYS) as meter,
            pytest.raises(ServiceRefused, match=r"Logon: .* it may want another user id"),
        ):
            meter.read(1)


def test_a_write_without_an_answer_is_never_repeated_and_said_to_be_unknown() -> None:
    heard = b""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        name = f"c1222://127.0.0.1:{deaf.getsockname()[1]}/.7.42"
        with NetworkMeter(name, KEYS, PASSWORD) as meter:

            def hang_up() -> None:
                nonlocal heard
                peer, _ = deaf.accept()
                heard = peer.recv(4096)
                peer.close()

            thread = threading.Thread(target=hang_up)
            thread.start()
            with pytest.raises(OutcomeUnknown, match="not known"):
                meter.write(3, b"whole")
            thread.join()
    assert heard


def test_what_was_refused_while_an_answer_was_waited_for_is_told() -> None:
    answer = bytes.fromhex("601ba2040d02072aa403020101a6030d0105a80105be0728058103800100")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def say() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer[:1] + bytes([len(answer) - 2]) + answer[2:])
                peer.recv(4096)

        thread = threading.Thread(target=say)
        thread.start()
        name = f"c1222://127.0.0.1:{server.getsockname()[1]}/.7.42"
        with (
            NetworkMeter(name, KEYS, answer_timeout_s=1.0) as meter,
            pytest.raises(LinkError, match=r"no answer in time; refused what came: .*2006 draft"),
        ):
            meter.read(1)
        thread.join()


@pytest.mark.parametrize("most", [200, 512])
def test_a_table_that_does_not_fit_an_answer_is_read_in_pieces_that_do(most: int) -> None:
    small = NodeSettings(max_apdu_octets=most)
    with device(small) as (name, served), NetworkMeter(name, KEYS) as meter:
        served.talk.tables.images[9] = bytes(range(250)) * 8
        told: list[tuple[int, int | None]] = []
        read = meter.read(9, lambda done, whole: told.append((done, whole)))
        assert read == bytes(range(250)) * 8 and told == [(2000, 2000)]


def test_a_table_that_does_not_fit_a_request_is_written_in_pieces_that_do() -> None:
    class Parts(Tables):
        def write(self, table: int, offset: int | None, data: bytes, *context: object) -> None:
            if len(data) > 120:
                raise Refused(ResponseCode.rqtl)
            self.images[table] = self.images[table][: offset or 0] + data

    with device(NodeSettings(), Parts()) as (name, served), NetworkMeter(name, KEYS) as meter:
        meter.write(7, bytes(range(250)) * 2)
        assert served.talk.tables.images[7] == bytes(range(250)) * 2


def test_the_end_of_a_table_in_pieces_is_there_although_no_piece_may_cross_it() -> None:
    with (
        device(NodeSettings(max_apdu_octets=512)) as (name, served),
        NetworkMeter(name, KEYS) as meter,
    ):
        for size in (1999, 2001, 1200):
            image = (bytes(range(250)) * 9)[:size]
            served.talk.tables.images[9] = image
            assert meter.read(9) == image


def test_a_wrong_key_and_no_key_are_told() -> None:
    other = {KEY_ID: EaxPrime(bytes(16))}
    for keys in (other, {}):
        with (
            device(NodeSettings()) as (name, _),
            NetworkMeter(name, keys) as meter,
            pytest.raises((LinkError, ServiceRefused), match="sme"),
        ):
            meter.read(1)


def test_nobody_there_is_one_clear_error() -> None:
    name = f"c1222://127.0.0.1:{free_port()}/.7.42"
    with pytest.raises(PortError, match="c1222"), NetworkMeter(name, {}):
        pass


@pytest.mark.parametrize(
    "name",
    [
        "c1222:",
        "c1222://",
        "c1222://h",
        "c1222://h/",
        "c1222://h:x/.7",
        "c1222://h/9.9",
        "c1222:/h/.7",
        "c1222://h:0/.7",
        "c1222://u@h/.7",
        "c1222://h/.7?x",
    ],
)
def test_a_name_that_is_none_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(PortError, match="APTITLE"):
        parse_name(name)


def test_a_name_may_hold_ipv6_and_an_absolute_title() -> None:
    for percent in ("%", "%25"):
        assert parse_name(f"c1222://[fe80::7{percent}eth0]/.7.42").host == "fe80::7%eth0"
    name = parse_name("c1222://[2001:db8::5]/2.16.124.113620.1.22.0.7.42")
    assert (name.host, name.port, str(name.title)[:3]) == ("2001:db8::5", 1153, "2.1")
    assert parse_name("C1222://h/.7") == parse_name("c1222://h/.7")


def test_a_name_says_what_carries_the_messages() -> None:
    assert parse_name("c1222+udp://h/.7").carried is Carried.UDP
    assert parse_name("C1222+TLS://h:20000/.7").carried is Carried.TLS
    for wrong in ("c1222s://h/.7", "c1222+sms://h/.7", "udp://h/.7", "c1222+udp:h/.7"):
        with pytest.raises(PortError, match="c1222\\+udp://"):
            parse_name(wrong)


def test_a_meter_is_read_and_written_by_datagrams() -> None:
    with device(NodeSettings()) as (name, served):
        with NetworkMeter(by_datagrams(name, served), KEYS, PASSWORD, 2) as meter:
            meter.write(3, b"whole")
            assert meter.read(3) == b"whole"
        nobody = f"c1222+udp://127.0.0.1:{free_port()}/.7.42"
        with NetworkMeter(nobody, KEYS) as meter, pytest.raises(LinkError, match="refused"):
            meter.read(1)


def test_a_datagram_that_is_lost_is_sent_again_and_served_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apdu_connection, "REPEAT_AFTER_S", (0.02, 60.0))
    talk = Talk(NodeSettings())
    talk.clock.offset_us = time.time_ns() // 1000 - talk.now_us
    asked: list[bytes] = []

    def lose_the_first() -> None:
        while len(asked) < 3:
            octets, peer = served.recvfrom(4096)
            asked.append(octets)
            if len(asked) > 1:
                served.sendto(b"\x60\x00", peer)  # rubbish ends nothing
                served.sendto(talk.offer(octets)[0], peer)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind(("127.0.0.1", 0))
        served.settimeout(60)
        thread = threading.Thread(target=lose_the_first)
        thread.start()
        name = f"c1222+udp://127.0.0.1:{served.getsockname()[1]}/.7.42"
        with NetworkMeter(name, KEYS, PASSWORD, 2) as meter:
            meter.write(3, b"whole")
            assert meter.read(3) == b"whole"
        thread.join()
    assert asked[0] == asked[1] != asked[2]


class Busy(Tables):
    """A device that is busy, or has no data, so often at first."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        self._refuse(ResponseCode.dnr)
        return super().read(table, rights, now_us)

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        self._refuse(ResponseCode.bsy)
        super().write(table, offset, data, rights, now_us)

    def _refuse(self, code: ResponseCode) -> None:
        self.times -= 1
        if self.times >= 0:
            raise Refused(code)


def test_a_busy_device_is_asked_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_meter, "BUSY_PAUSE_US", 0)
    tables = Busy(3)
    with (
        device(NodeSettings(), tables) as (name, _),
        NetworkMeter(name, KEYS, PASSWORD, 2) as meter,
    ):
        assert meter.read(3) == bytes(5) and tables.times == -1
        tables.times = 3
        meter.write(3, b"whole")
        assert tables.times == -1 and tables.images[3] == b"whole"
        tables.times = 1000
        with pytest.raises(ServiceRefused, match="bsy"):
            meter.write(3, b"wrong")
        assert tables.times == 1000 - 1 - network_meter.BUSY_REPEATS


def test_where_a_relay_has_no_room_a_read_is_asked_again_and_a_write_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_meter, "BUSY_PAUSE_US", 0)
    talk = Talk(NodeSettings())
    talk.clock.offset_us = time.time_ns() // 1000 - talk.now_us
    asked: list[bytes] = []

    def answer(octets: bytes) -> bytes:
        asked.append(octets)
        if len(asked) % 2 == 0:
            return talk.offer(octets)[0]
        return relay_says(ResponseCode.bsy, octets)

    def serve() -> None:
        line, _ = door.accept()
        with line:
            for _ in range(3):
                line.sendall(answer(line.recv(4096)))

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve)
        thread.start()
        name = f"c1222://127.0.0.1:{door.getsockname()[1]}/.7.42"
        with NetworkMeter(name, KEYS, PASSWORD, 2) as meter:
            assert meter.read(3) == bytes(5) and len(asked) == 2
            with pytest.raises(OutcomeUnknown, match="bsy"):
                meter.write(3, b"whole")
        thread.join()
    assert len(asked) == 3


def test_the_verb_reads_and_captures(tmp_path: object) -> None:
    with device(NodeSettings()) as (name, _):
        keys = f"{KEY_ID}={KEY.hex()}"
        file = f"{tmp_path}/net.pcapng"
        done = smartmeter("read", name, "1", "--json", "--pcap", file, SMARTMETER_C1222_KEYS=keys)
        assert b"SMOP".hex() in done.stdout, done.stderr
        seen = smartmeter("decode", "frame", "--pcap", file, SMARTMETER_C1222_KEYS=keys)
        assert seen.returncode == 0 and "30 read" in seen.stdout and ":1153" in seen.stdout
        if shutil.which("tshark"):
            shown = tshark(Path(file), "-Y", "c1222", "-T", "fields", "-e", "frame.comment")
            assert shown.count("in fact port") >= 4
        assert smartmeter("read", "c1222://127.0.0.1/", "1").returncode == 2


def test_write_procedure_and_shell_take_a_name_of_the_network() -> None:
    with device(NodeSettings()) as (name, served):
        secrets = {
            "SMARTMETER_C1222_KEYS": f"{KEY_ID}={KEY.hex()}",
            "SMARTMETER_PASSWORD": PASSWORD.decode(),
        }
        served.talk.tables.images[0] = original().table(0, 0)
        options = ("--user-id", "2", "--yes")
        done = smartmeter("write", name, "5", "41424344", *options, **secrets)
        assert done.returncode == 0 and "read back the same" in done.stdout, done.stderr
        done = smartmeter("procedure", name, "2", "--no-answer", *options, **secrets)
        assert "was started" in done.stdout, done.stderr
        assert served.talk.tables.images[7][:2] == b"\x02\x00"
        done = smartmeter("shell", name, *options, said="hex 5\nline\n", **secrets)
        assert "41 42 43 44" in done.stdout and "no line" in done.stderr
        done = smartmeter("write", name, "5", "41", "--baud", "9600", **secrets)
        assert done.returncode == 2 and "no line" in done.stderr


def test_a_device_that_ends_each_connection_after_its_answer_is_read_on_the_next() -> None:
    talk = Talk(NodeSettings())
    talk.clock.offset_us = time.time_ns() // 1000 - talk.now_us
    answering = answering_once(lambda asked: talk.offer(asked)[0])
    with answering as name, NetworkMeter(name, KEYS) as meter:
        assert meter.read(1)[:4] == b"SMOP"
        time.sleep(0.1)
        assert meter.read(3) == bytes(5)


def test_a_read_is_asked_anew_when_its_connection_ends_and_a_write_is_not() -> None:
    talk = Talk(NodeSettings())
    talk.clock.offset_us = time.time_ns() // 1000 - talk.now_us
    answering = answering_once(lambda asked: talk.offer(asked)[0], reads_on=True)
    with answering as name, NetworkMeter(name, KEYS, PASSWORD, 2) as meter:
        assert meter.read(1)[:4] == b"SMOP"
        assert meter.read(3) == bytes(5)
        assert meter.read_part(3, 0, 2) == bytes(2)
        with pytest.raises(OutcomeUnknown):
            meter.write(3, b"whole")
        assert meter.read(3) == bytes(5)


def test_an_answer_that_is_no_table_is_told_with_the_table() -> None:
    next(script := read_table(23))
    with pytest.raises(ProtocolError, match=r"table 23: .*wrong table checksum"):
        script.send(Response(ResponseCode.ok, b"\0\3abc\0"))


def test_what_was_refused_is_told_where_the_connection_ends_without_an_answer() -> None:
    answering = answering_once(lambda asked: request([READ_1]))
    told = pytest.raises(LinkError, match="closed; refused what came: not-for-this-node")
    with answering as name, NetworkMeter(name, KEYS) as meter, told:
        meter.read(1)


@pytest.mark.parametrize("option", ["--key-file", "--answer-port", "--answer-timeout"])
def test_what_only_a_meter_on_the_network_has_is_refused_for_one_at_a_port(
    option: str, tmp_path: Path
) -> None:
    value = tmp_path / "5"
    value.write_text("0=00")
    given = str(value) if option == "--key-file" else "5"
    done = smartmeter("read", "sim:", "1", option, given)
    assert done.returncode == 2 and f"{option} is for c1222://" in done.stderr


def test_where_nobody_listens_that_is_what_is_asked_about() -> None:
    name = parse_name(f"c1222://127.0.0.1:{free_port()}/.7")
    with pytest.raises(PortError, match=r"Connection refused; is it listening there\?"):
        apdu_connection.ApduConnection(name).open()

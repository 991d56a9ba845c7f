"""Client and device together on a simulated line, clean and faulty."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1218.client import Client, ScriptDone, ScriptFailed
from protocols.c1218.conversation import Conversation
from protocols.c1218.device import DeviceChoices
from protocols.c1218.scripts import (
    LogonSettings,
    Padding,
    close_session,
    open_session,
    prove,
    read_part,
    read_table,
    resumed,
    run_procedure,
    write_table,
)
from protocols.c1218.server import Refused, Server, ServerOptions
from protocols.c1218.session import State
from protocols.datalink.timing import Timing
from protocols.errors import (
    LinkError,
    OutcomeUnknown,
    ProcedureUnanswered,
    ServiceRefused,
    SessionEnded,
)
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, IndexRead, OffsetRead
from tests.protocols.c1218.device_bench import IndexedModel
from tests.protocols.c1218.line import Line, Tables

IMAGES = {0: bytes(range(40)), 3: b"\1\2\3", 5: b"ID" * 10, 64: bytes(3000), 2050: b"private"}


def a_line(seed: int = 1, options: ServerOptions | None = None, **faults: float) -> Line:
    server = Server(Tables(dict(IMAGES)), options)
    return Line(Client(), server, Random(seed), **faults)


def device(line: Line) -> Tables:
    found = line.server._device
    assert isinstance(found, Tables)
    return found


def test_a_session_reads_tables_and_ends_where_it_began() -> None:
    line = a_line()
    opened = line.run(open_session(LogonSettings(password=b"secret")))
    assert isinstance(opened, ScriptDone) and opened.result.password_accepted
    for table, image in IMAGES.items():
        done = line.run(read_table(table, line.client.limits))
        assert isinstance(done, ScriptDone) and done.result == image
    part = line.run(read_part(64, 100, 700, line.client.limits))
    assert isinstance(part, ScriptDone) and len(part.result) == 700
    line.run(close_session())
    assert line.server.state is State.BASE


def test_a_table_longer_than_the_granted_packets_is_read_by_pieces() -> None:
    line = a_line(options=ServerOptions(max_packet_octets=64, max_packets=1))
    line.run(open_session(LogonSettings()))
    done = line.run(read_table(64, line.client.limits))
    assert isinstance(done, ScriptDone) and done.result == IMAGES[64]
    assert max(len(data) for way, data in line.log if way == "d2c") <= 65


def test_no_octet_is_lost_where_a_piece_must_not_cross_the_end_of_its_table() -> None:
    strict = DeviceChoices(read_past_end=False)
    options = ServerOptions(choices=strict, max_packet_octets=64, max_packets=1)
    line = a_line(options=options)
    for size in (3000, 3001, 52 * 50):
        image = (bytes(range(200)) * 16)[:size]
        device(line).tables[64] = image
        line.run(open_session(LogonSettings()))
        done = line.run(read_table(64, line.client.limits))
        assert isinstance(done, ScriptDone) and done.result == image


def test_a_wrong_password_leaves_the_session_open_and_the_tables_closed() -> None:
    line = a_line()
    opened = line.run(open_session(LogonSettings(password=b"guess")))
    assert isinstance(opened, ScriptDone) and opened.result.password_accepted is False
    refused = line.run(read_table(2050, line.client.limits))
    assert isinstance(refused, ScriptFailed)
    assert isinstance(refused.error, ServiceRefused) and refused.error.name == "isc"
    open_table = line.run(read_table(3, line.client.limits))
    assert isinstance(open_table, ScriptDone)


def nothing() -> Any:
    """A new session that is none."""
    yield from ()


def test_what_is_asked_in_a_session_that_is_over_is_not_refused() -> None:
    line = a_line()
    limits, quirks = line.client.limits, line.client.quirks
    for script in (
        prove(b"secret", Padding.AUTO, quirks),
        resumed(lambda: read_table(3, limits), nothing),
    ):
        done = line.run(script)
        assert isinstance(done, ScriptFailed) and isinstance(done.error, SessionEnded)
    assert not quirks.met


def test_a_refusal_at_the_beginning_of_a_new_session_is_not_one_of_the_table() -> None:
    talk = Conversation(LogonSettings(), None)
    line = Line(talk.client, Server(Tables(dict(IMAGES))), Random(1))
    line.run(talk.open())
    line.run(close_session())
    talk.settings = LogonSettings(user_id=200)
    done = line.run(talk.read(3))
    assert isinstance(done, ScriptFailed) and isinstance(done.error, SessionEnded)
    assert "Logon: the meter answered iar (05H): it may want another user id" in str(done.error)


def test_a_table_that_alone_is_refused_with_isss_is_refused() -> None:
    class OutOfSequence(Tables):
        def read(self, table: int, now_us: int) -> bytes:
            if table == 5:
                raise Refused(ResponseCode.isss)
            return super().read(table, now_us)

    talk = Conversation(LogonSettings(), None)
    line = Line(talk.client, Server(OutOfSequence(dict(IMAGES))), Random(1))
    line.run(talk.open())
    done = line.run(talk.read(5))
    assert isinstance(done, ScriptFailed) and isinstance(done.error, ServiceRefused)


def test_a_session_that_a_crashed_client_left_open_is_ended_and_begun_again() -> None:
    line = a_line()
    line.run(open_session(LogonSettings()))
    line.client = Client()
    line.client._link._toggle = 0x20
    again = line.run(open_session(LogonSettings()))
    assert isinstance(again, ScriptDone)


def test_six_seconds_of_silence_end_the_session_and_the_rights() -> None:
    line = a_line()
    line.run(open_session(LogonSettings(password=b"secret")))
    assert device(line).trusted
    line.server.expire(line.now_us + 5_900_000)
    assert line.server.state is State.SESSION
    line.server.expire(line.now_us + 6_100_000)
    assert line.server.state is State.BASE and not device(line).trusted
    assert line.server.outgoing() == b""


def test_a_long_answer_may_take_longer_than_the_patience_for_its_next_packet() -> None:
    line = a_line()
    device(line).tables[64] = bytes(range(256)) * 50  # 13 seconds on this line
    line.run(open_session(LogonSettings()))
    begun_us = line.now_us
    done = line.run(read_table(64, line.client.limits))
    assert isinstance(done, ScriptDone) and done.result == device(line).tables[64]
    assert line.now_us - begun_us > 12_000_000
    assert not line.client.quirks.met


def test_a_procedure_is_asked_for_until_the_answer_is_its_own() -> None:
    line = a_line()
    device(line).tables |= {7: bytes(4), 8: b"\x09\x00\x11\x00\x01"}
    line.run(open_session(LogonSettings()))
    done = line.run(run_procedure(b"\x09\x00\x11\x01", line.client.limits))
    assert isinstance(done, ScriptDone) and done.result == b"\x09\x00\x11\x00\x01"
    device(line).tables[8] = b"\x09\x00\x10\x00"
    failed = line.run(run_procedure(b"\x09\x00\x11\x01", line.client.limits))
    assert isinstance(failed, ScriptFailed)


class Unanswered(Tables):
    """A device that takes procedures and refuses their answers."""

    code = ResponseCode.isc

    def read(self, table: int, now_us: int) -> bytes:
        if table == 8:
            raise Refused(self.code)
        return super().read(table, now_us)


@pytest.mark.parametrize("code", [ResponseCode.bsy, ResponseCode.isc, ResponseCode.isss])
def test_a_procedure_whose_answer_is_refused_is_not_told_as_refused(code: ResponseCode) -> None:
    tables = Unanswered({1: b"", 7: bytes(4)})
    tables.code = code
    talk = Conversation(LogonSettings(), None)
    line = Line(talk.client, Server(tables), Random(1))
    line.run(talk.open())
    call = b"\x09\x00\x11\x01"
    for script in (run_procedure(call, line.client.limits), talk.procedure(call)):
        tables.writes.clear()
        done = line.run(script)
        assert isinstance(done, ScriptFailed) and isinstance(done.error, ProcedureUnanswered)
        assert "was started" in str(done.error)
        assert len(tables.writes) == 1


class DeafToAnswers(Line):
    """A line on which nothing comes back once a procedure's answer was asked for."""

    def _carry(self, way: str, sender: Any, receiver: Any) -> bool:
        asked = any(encode_request(FullRead(8)) in data for _, data in self.log)
        self.loss = float(way == "d2c" and asked)
        return super()._carry(way, sender, receiver)


def test_a_procedure_whose_line_is_lost_once_it_was_started_is_told_as_started() -> None:
    talk = Conversation(LogonSettings(), None)
    tables = Tables({7: bytes(4), 8: bytes(4)})
    line = DeafToAnswers(talk.client, Server(tables), Random(1))
    line.run(talk.open())
    done = line.run(talk.procedure(b"\x09\x00\x11\x01"))
    assert isinstance(done, ScriptFailed) and isinstance(done.error, ProcedureUnanswered)
    assert len(tables.writes) == 1


def test_a_write_after_a_rest_that_ended_the_session_is_carried_out_in_a_new_one_once() -> None:
    line = a_line()
    device(line).tables[64] = bytes(200)
    talk = Conversation(LogonSettings(password=b"secret"), None)
    line.client = talk.client
    line.run(talk.open())
    line.now_us += 8_000_000
    line.server.expire(line.now_us)
    assert line.server.state is State.BASE
    image = bytes(range(200))  # longer than what a device in Base takes: it is NAKed
    assert isinstance(line.run(talk.write(64, image)), ScriptDone)
    assert [data for _, _, data in device(line).writes] == [image]


class DeafFor(Line):
    """A line on which the client hears nothing until a moment."""

    until_us = 0

    def _carry(self, way: str, sender: Any, receiver: Any) -> bool:
        self.loss = float(way == "d2c" and self.now_us < self.until_us)
        return super()._carry(way, sender, receiver)


def test_a_write_whose_copy_finds_the_session_over_is_not_written_again() -> None:
    """The meter gave the session up as its answer was lost: isss tells nothing of the first."""
    impatient = ServerOptions(timing=Timing(response_us=1_000_000, retries=0))
    talk = Conversation(LogonSettings(), None)
    line = DeafFor(talk.client, Server(Tables(dict(IMAGES)), impatient), Random(1))
    line.run(talk.open())
    line.until_us = line.now_us + 1_500_000
    done = line.run(talk.write(3, b"abc"))
    assert isinstance(done, ScriptFailed) and isinstance(done.error, OutcomeUnknown)
    assert len(device(line).writes) == 1


class DeafAtOtherSpeeds(Line):
    """A line on which nobody hears what comes at another speed than his own."""

    def _carry(self, way: str, sender: Any, receiver: Any) -> bool:
        self.loss = float(self.client.baud != self.server.limits.baud)
        return super()._carry(way, sender, receiver)


@pytest.mark.parametrize("rest_s, session_ends", [(8, True), (8, False), (5, False)])
def test_a_write_after_a_rest_at_another_speed_is_carried_out_once(
    rest_s: int, session_ends: bool
) -> None:
    options = ServerOptions(bauds=(9600, 57600))
    talk = Conversation(LogonSettings(password=b"secret", bauds=(9600, 57600)), None)
    server = Server(Tables(dict(IMAGES)), options)
    line = DeafAtOtherSpeeds(talk.client, server, Random(1))
    line.run(talk.open())
    assert server.limits.baud == talk.client.baud == 57600
    if not session_ends:
        line.run(talk.keep_alive(60))
    line.now_us += rest_s * 1_000_000
    server.expire(line.now_us)
    assert (server.state is State.BASE) == session_ends
    line.log.clear()
    assert isinstance(line.run(talk.write(3, b"new")), ScriptDone)
    assert [data for _, _, data in device(line).writes] == [b"new"]
    assert (len(line.log) < 10) != session_ends, "a session that is there is not begun anew"


def test_a_refusal_that_is_of_no_lost_session_begins_none_anew() -> None:
    line = a_line()
    talk = Conversation(LogonSettings(), None)
    line.client = talk.client
    line.run(talk.open())
    line.log.clear()
    assert isinstance(line.run(talk.read(99)), ScriptFailed)
    assert len([data for way, data in line.log if way == "c2d"]) == 2  # the request, and an ACK


def test_a_table_as_long_as_one_write_may_be_is_written_at_once() -> None:
    line = a_line(options=ServerOptions(max_packet_octets=64, max_packets=1))
    line.run(open_session(LogonSettings()))
    most = line.client.limits.max_write
    for octets, writes in ((most, 1), (most + 1, 2)):
        device(line).tables[64], device(line).writes = bytes(octets), []
        line.run(write_table(64, bytes(octets), line.client.limits))
        assert len(device(line).writes) == writes
        assert (device(line).writes[0][1] is None) == (writes == 1)


def test_a_table_read_by_its_elements_is_begun_anew_after_a_lost_session() -> None:
    class Forgetful(IndexedModel):
        asked = 0

        def span(
            self, table: int, indices: tuple[int, ...], count: int, now_us: int
        ) -> tuple[int, int]:
            self.asked += 1
            if self.asked == 20:
                raise Refused(ResponseCode.rno)
            return super().span(table, indices, count, now_us)

    image = bytes(range(200))
    options = ServerOptions(
        max_packet_octets=64, max_packets=1, refusals={OffsetRead: ResponseCode.sns}
    )
    talk = Conversation(LogonSettings(), None)
    line = Line(talk.client, Server(Forgetful({0: image}), options), Random(1))
    line.run(talk.open())
    done = line.run(talk.read(0))
    assert isinstance(done, ScriptDone) and done.result == image


def test_after_a_meter_without_offset_reads_another_is_read_by_offsets() -> None:
    image, client = bytes(range(200)), Client()
    for lacks in (OffsetRead, IndexRead):
        options = ServerOptions(
            max_packet_octets=64, max_packets=1, refusals={lacks: ResponseCode.sns}
        )
        line = Line(client, Server(IndexedModel({0: image}), options), Random(1))
        line.run(open_session(LogonSettings()))
        done = line.run(read_table(0, client.limits))
        assert isinstance(done, ScriptDone) and done.result == image
        line.run(close_session())


@pytest.mark.parametrize("code", [ResponseCode.onp, ResponseCode.sns])
def test_a_table_that_no_way_of_reading_gives_is_told_by_what_the_meter_said_of_it(
    code: ResponseCode,
) -> None:
    refusals = {FullRead: ResponseCode.onp, OffsetRead: code, IndexRead: code}
    line = Line(Client(), Server(IndexedModel({}), ServerOptions(refusals=refusals)), Random(1))
    line.run(open_session(LogonSettings()))
    failed = line.run(read_table(99, line.client.limits))
    assert isinstance(failed, ScriptFailed) and isinstance(failed.error, ServiceRefused)
    assert failed.error.code == ResponseCode.onp and "table 99" in str(failed.error)


@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.08), damage=st.floats(0, 0.08))
def test_on_a_bad_line_nothing_is_executed_twice_and_no_answer_is_mistaken(
    seed: int, loss: float, damage: float
) -> None:
    line = a_line(seed, loss=loss, damage=damage)
    told: list[bytes] = []
    if isinstance(line.run(open_session(LogonSettings())), ScriptFailed):
        return
    for number in range(6):
        text = f"write number {number:07d}".encode()
        done = line.run(write_table(5, text, line.client.limits))
        if isinstance(done, ScriptFailed):
            assert isinstance(done.error, LinkError | ServiceRefused)
            break
        told.append(text)
        back = line.run(read_table(5, line.client.limits))
        if isinstance(back, ScriptFailed):
            break
        assert back.result == text
    written = [data for _, _, data in device(line).writes]
    assert len(set(written)) == len(written)
    assert set(told) <= set(written) and len(written) <= len(told) + 1


@given(st.lists(st.binary(max_size=40) | st.just(b"\xee\x00\x00\x00\x00"), max_size=30))
def test_any_bytes_leave_both_ends_in_a_legal_state(chunks: list[bytes]) -> None:
    line = a_line()
    now_us = 0
    for chunk in chunks:
        now_us += 300_000
        line.server.receive(chunk, now_us)
        line.client.receive(chunk, now_us)
        line.server.expire(now_us)
        line.client.expire(now_us)
        line.server.outgoing()
        line.client.outgoing()
    assert line.server.state in State
    for _ in range(8):  # an answer that nobody acknowledges ends after four transmissions
        now_us += 10_000_000
        line.server.expire(now_us)
        line.server.outgoing()
    line.server.receive(b"\xee\0\0\0\0\1\x20\x13\x10", now_us)
    line.server.expire(now_us + 175)
    assert line.server.outgoing()[:1] == b"\x06"

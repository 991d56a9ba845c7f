"""Plain meters behind serial servers: entered, polled on schedules, honest about what is silent."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import Snapshot
from protocols.psem.codec import block, decode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead
from protocols.transports.async_tcp import parse_address
from smartmeter.base.clock import Calendar, monotonic_us, shared_calendar, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.exchanges import ExchangeFailed
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.model import State
from smartmeter.tms.poll_plan import PollDue, PollPlan
from smartmeter.tms.polled_list import PolledMeter, import_polled, read_polled
from smartmeter.tms.polled_reading import Known, poll
from smartmeter.tms.polled_source import PolledSource, store_failed_poll, store_poll
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import import_shipment, read_shipment
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import make_template
from tests.ports import free_port
from tests.smartmeter.cli.served import meter_process
from tests.smartmeter.tms.polling import EPOCH_S, EVERYTHING, SCHEDULES, US_PER_S, Bench, flat
from tests.smartmeter.tms.running import rest, running_tms
from tests.waiting import until

HEADER = "esn,address,user_id,password,model\n"


# The list.


def test_a_list_is_read_and_what_is_wrong_is_named_with_its_line() -> None:
    text = HEADER + "P1,socket://192.0.2.1:2000,2,reader,kV\n\nP2,tcp:[2001:db8::1]:7,0,,\n"
    meters = read_polled(text)
    assert [one.address for one in meters] == ["socket://192.0.2.1:2000", "tcp:[2001:db8::1]:7"]
    assert parse_address(meters[1].address) == ("2001:db8::1", 7)
    assert "reader" not in repr(meters)
    for line, words in (
        ("P3,192.0.2.1:2000,2,x,", "socket://HOST:PORT"),
        ("P3,socket://h:0,2,x,", "socket://HOST:PORT"),
        ("P-3,socket://h:1,2,x,", "letters and digits"),
        ("P3,socket://h:1,70000,x,", "0 to 65535"),
        ("P3,socket://h:1," + "9" * 5000 + ",x,", "0 to 65535"),
        ("P3,socket://h:1,2," + "x" * 21 + ",", "too long"),
        ("P1,socket://h:1,2,x,", "twice"),
        ("P3,socket://192.0.2.1:2000,2,x,", "twice"),
        ("P3,socket://h:1", "2 columns"),
    ):
        with pytest.raises(SettingsError, match="line 5") as caught:
            read_polled(text + line)
        assert words in str(caught.value)
    with pytest.raises(SettingsError, match="line 1"):
        read_polled("esn;address\n")


@given(st.text(max_size=200))
def test_any_text_is_a_list_or_one_clear_error(text: str) -> None:
    try:
        read_polled(HEADER + text)
    except SettingsError as error:
        assert "\n" not in str(error) and "line" in str(error)


def test_neither_a_plain_meter_nor_a_smartmeter_takes_the_place_of_the_other(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    store.write_now(lambda c: c.execute("INSERT INTO meters (esn, title) VALUES ('SM1', '.7.1')"))
    taken = [PolledMeter("SM1", "socket://h:1", 2, b"", "")]
    with pytest.raises(sqlite3.IntegrityError, match="reports by itself"):
        store.write_now(lambda c: import_polled(c, taken, 0))
    plain = [PolledMeter("P1", "socket://h:1", 2, b"", "")]
    assert store.write_now(lambda c: import_polled(c, plain, 0)) == 1
    assert store.write_now(lambda c: import_polled(c, plain, 0)) == 0
    shipped = read_shipment(f"esn,title,key,model\nP1,.7.9,{bytes(16).hex()},m\n")
    with pytest.raises(sqlite3.IntegrityError, match="P1 is a plain meter"):
        store.write_now(lambda c: import_shipment(c, shipped, 0))
    assert store.number("SELECT count(*) FROM keys WHERE esn='P1'") == 0
    store.close()


def test_a_long_list_at_the_addresses_of_retired_meters_costs_no_more_for_each_line() -> None:
    def steps(meters: int) -> int:
        store, taken = MemoryStore(), []

        def enter(connection: sqlite3.Connection, letter: str) -> None:
            listed = [PolledMeter(f"{letter}{n}", f"tcp:h{n}:1", 2, b"", "") for n in range(meters)]
            import_polled(connection, listed, 0)

        def replace_all(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE meters SET state=?", (State.RETIRED,))
            connection.set_progress_handler(lambda: taken.append(1), 100)
            enter(connection, "Q")

        store.write_now(lambda c: enter(c, "P"))
        store.write_now(replace_all)
        return len(taken)

    assert 0 < steps(400) < 3 * steps(200)


def test_meters_may_take_the_addresses_of_each_other_and_the_owner_of_a_taken_one_is_told() -> None:
    store = MemoryStore()

    def enter(**addresses: str) -> None:
        meters = [PolledMeter(esn, one, 2, b"", "") for esn, one in addresses.items()]
        store.write_now(lambda c: import_polled(c, meters, 0))

    enter(P1="socket://h:1", P2="socket://h:2", P3="socket://h:3")
    enter(P1="socket://h:2", P2="socket://h:1")
    sql = "SELECT esn, address, title FROM polled_meters JOIN meters USING (esn) ORDER BY esn"
    held = [("P1", "socket://h:2"), ("P2", "socket://h:1"), ("P3", "socket://h:3")]
    assert [tuple(row) for row in store.read(sql)] == [(*one, one[1]) for one in held]
    with pytest.raises(sqlite3.IntegrityError) as caught:
        enter(P2="socket://h:4", P4="socket://h:3")
    told = "socket://h:3 of P4 is the address of P3, which has it until it is retired"
    assert str(caught.value) == told
    assert [tuple(row)[:2] for row in store.read(sql)] == held


# The plan.


def test_what_was_missed_is_polled_once_and_then_each_due_time() -> None:
    plan = PollPlan(list(SCHEDULES.values()))
    plan.add("P1", {}, EPOCH_S + 100)
    first = plan.tick(EPOCH_S + 100)
    assert {due.schedule.number for due in first} == {1, 2}
    plan.add("P1", {}, EPOCH_S + 100)
    assert plan.tick(EPOCH_S + 100) == []
    found = [due for at in range(EPOCH_S + 100, EPOCH_S + 7300, 10) for due in plan.tick(at)]
    dues = [due.due_s for due in found if due.schedule.number == 1]
    assert dues == [EPOCH_S + 900 * n for n in range(1, 9)]


def test_the_polls_of_a_long_list_begin_in_several_turns_each_once() -> None:
    plan = PollPlan([SCHEDULES[1]])
    for number in range(1200):
        plan.add(f"P{number}", {}, EPOCH_S + 100)
    turns = [plan.tick(EPOCH_S + 100) for _ in range(4)]
    assert [len(turn) for turn in turns] == [500, 500, 200, 0]
    assert len({due.esn for turn in turns for due in turn}) == 1200


def test_what_was_polled_before_a_restart_is_not_polled_again() -> None:
    plan = PollPlan([SCHEDULES[1]])
    plan.add("P1", {1: EPOCH_S}, EPOCH_S + 300)
    assert plan.tick(EPOCH_S + 899) == []
    assert [due.due_s for due in plan.tick(EPOCH_S + 1100)] == [EPOCH_S + 900]
    assert plan.next_due_s("P1", EPOCH_S + 1100) == EPOCH_S + 1800


# The script.


@pytest.mark.parametrize("profile", ["residential", "commercial", "bcd-1997", "unusual"])
def test_the_tms_reads_the_same_intervals_as_the_module_does(profile: str) -> None:
    bench = Bench(profile)
    bench.run(30)
    reading = bench.poll(1)
    sets = {run["SET"] for run in reading.profile}
    assert sets == ({1, 2} if profile in ("commercial", "unusual") else {1})
    if profile in ("residential", "commercial"):
        for one in sets:
            module = bench.module_reads(one)
            found = [(i.sequence, i.end_s, i.status, list(i.values)) for i in module]
            assert flat(reading, one) == found


def test_only_the_blocks_with_new_intervals_are_read() -> None:
    bench = Bench("residential")
    bench.run(24 * 6)
    first = bench.poll(1)
    everything = flat(first)
    assert FullRead(64) in bench.asked and first.context
    bench.run(0.5)
    known = Known({**first.context}, {1: [(everything[-1][0] + 1, None)]})
    second = bench.poll(1, known)
    assert [row[0] for row in flat(second)] == [everything[-1][0] + 1, everything[-1][0] + 2]
    assert FullRead(64) not in bench.asked and not second.context
    hole = Known(known.context, {1: [(everything[5][0], everything[8][0]), *known.gaps[1]]})
    assert flat(bench.poll(1, hole)) == everything[5:8] + flat(second)
    assert FullRead(64) not in bench.asked


class AheadBench(Bench):
    """A meter whose ST-63 points one past the newest block, to the oldest once the ring is full."""

    def answer(self, octets: bytes) -> bytes:
        answer = super().answer(octets)
        if decode_request(octets) != FullRead(63):
            return answer
        tables = {table: OpticalPort(self.meter).read(table, self.now_us) for table in (0, 61, 63)}
        layout = Snapshot(tables).layout(63)
        status = layout.decode(tables[63])
        of_set = status["LP_STATUS_SET1"]
        of_set["LAST_BLOCK_ELEMENT"] = (of_set.LAST_BLOCK_ELEMENT + 1) % of_set.NBR_VALID_BLOCKS
        of_set["LAST_BLOCK_SEQ_NBR"] += 1
        return b"\0" + block(layout.encode(status))


def test_a_pointer_that_is_ahead_in_a_full_ring_is_so_too_where_few_blocks_are_read() -> None:
    bench = AheadBench("residential", interval_min=1)
    bench.run(20)
    first = bench.poll(1)
    everything = flat(first)
    bench.run(0.05)
    known = Known({**first.context}, {1: [(everything[-1][0] + 1, None)]})
    new = flat(bench.poll(1, known))
    assert [row[0] - everything[-1][0] for row in new] == [1, 2, 3]
    assert [row[1] - everything[-1][1] for row in new] == [60, 120, 180]
    plain = Bench("residential", interval_min=1)
    plain.run(20)
    assert flat(plain.poll(1)) == everything


def test_a_ring_that_was_cleared_is_read_whole_and_said_to_be_another() -> None:
    bench = Bench()
    bench.run(24)
    first = bench.poll(1)
    behind = flat(first)[-1][0] + 1
    assert not first.anew
    exchanged = Bench()  # another meter in the same place
    exchanged.run(3)
    second = exchanged.poll(1, Known(first.context, {1: [(behind, None)]}))
    assert second.anew and 0 < len(flat(second)) < 20


@pytest.mark.parametrize("refused", [71, 76])
def test_a_log_that_the_meter_refuses_costs_no_load_profile(refused: int) -> None:
    bench = Bench()
    bench.run(3)
    bench.refused = {refused}
    both = replace(SCHEDULES[2], load_profile=True)
    reading = bench.run_script(poll(both, EVERYTHING))
    assert flat(reading) and not reading.events


@pytest.mark.parametrize("refused", [61, 63, 64])
def test_a_load_profile_that_the_meter_refuses_costs_nothing_else(refused: int) -> None:
    bench = Bench()
    bench.run(3)
    for on in (False, True):  # of which its log tells
        bench.meter.mains(on, bench.now_us)
        bench.run(0.1)
    bench.refused = {refused}
    daily = replace(SCHEDULES[2], load_profile=True)
    reading = bench.run_script(poll(daily, EVERYTHING))
    assert not reading.profile and reading.events and 23 in reading.images
    if refused != 63:
        with pytest.raises(ExchangeFailed, match=f"ST-{refused}"):  # else nobody would know
            bench.poll(1)


def test_a_meter_that_is_busy_with_its_load_profile_is_polled_again() -> None:
    bench = Bench()
    bench.run(3)
    bench.refused, bench.refusal = {64}, ResponseCode.bsy
    with pytest.raises(ExchangeFailed, match=r"ST-64: .* answered bsy"):
        bench.poll(1)


def test_a_ring_that_moves_while_it_is_read_is_read_again() -> None:
    bench = Bench(interval_min=1)
    bench.run(3)
    moves = iter([True, False])

    def move(request: object) -> None:
        if getattr(request, "table", None) == 64 and next(moves, False):
            bench.run(0.02)

    bench.between = move
    assert flat(bench.poll(1))[-1][1] == EPOCH_S + 3 * 3600 + 60


def test_of_a_ring_that_moves_each_time_what_it_left_alone_is_kept() -> None:
    """As at 1200 baud, where to read a ring takes longer than an interval of a minute."""
    bench = Bench(interval_min=1)

    def move(request: object) -> None:
        if getattr(request, "table", None) == 64:
            bench.run(0.02)

    bench.between = move
    bench.run(0.5)
    with pytest.raises(ExchangeFailed, match="moved each time"):
        bench.poll(1)  # all of it is in the block that grows
    bench.run(23.5)
    first = bench.poll(1)
    assert bench.asked.count(FullRead(64)) == 1, "what has been read is not read again"
    rows = flat(first)
    bench.between = lambda request: None
    known = Known(first.context, {1: [(rows[-1][0] + 1, None)]})
    assert rows + flat(bench.poll(1, known)) == [
        row for row in flat(bench.poll(1)) if row[0] >= rows[0][0]
    ]


@pytest.mark.parametrize("image", [b"", b"\1", bytes(range(40))])
def test_a_status_that_makes_no_sense_behind_a_ring_fails_the_poll_alone(image: bytes) -> None:
    bench = Bench(interval_min=1)
    bench.run(24)
    answer = bench.answer

    def spoilt(octets: bytes) -> bytes:
        is_second = decode_request(octets) == FullRead(63) and FullRead(64) in bench.asked
        return b"\0" + block(image) if is_second else answer(octets)

    bench.answer = spoilt  # type: ignore[method-assign]
    with pytest.raises(ExchangeFailed):
        bench.poll(1)


def test_the_daily_poll_brings_registers_and_the_log() -> None:
    bench = Bench()
    bench.run(2)
    bench.meter.mains(False, bench.now_us)
    bench.run(1)
    bench.meter.mains(True, bench.now_us)
    bench.run(1)
    reading = bench.poll(2)
    assert {3, 23} <= set(reading.images) and reading.context
    assert {entry["CODE"] for entry in reading.events} >= {1, 2}
    assert all(EPOCH_S <= entry["TIME"] <= EPOCH_S + 5 * 3600 for entry in reading.events)


@given(st.integers(0, 1 << 30))
def test_whatever_a_device_answers_a_poll_ends_with_a_reading_or_a_cause(seed: int) -> None:
    chance, script = Random(seed), poll(SCHEDULES[2], EVERYTHING)
    bench = Bench()
    answers: list[bytes] | None = None
    try:
        for _ in range(200):
            services = script.send(answers) if answers is not None else next(script)
            answers = [
                bench.answer(one) if chance.random() < 0.7 else b"\0" + block(chance.randbytes(40))
                for one in services
            ]
    except (StopIteration, ExchangeFailed):
        return
    raise AssertionError("it goes on for ever")


def test_whichever_poll_ends_a_silence_fills_its_gap(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    plain = [PolledMeter("P1", "socket://h:1", 2, b"", "")]
    store.write_now(lambda c: import_polled(c, plain, 0))
    source, bench = PolledSource(store, make_template()), Bench()
    bench.run(5)
    daily = PollDue("P1", SCHEDULES[2], EPOCH_S)
    assert not bench.run_script(source.script(daily, lambda: EPOCH_S)()).profile
    store.write_now(lambda c: store_failed_poll(c, daily, "nobody", EPOCH_S))
    reading = bench.run_script(source.script(daily, lambda: EPOCH_S)())
    assert len(flat(reading)) == 20
    store.write_now(lambda c: store_poll(c, daily, reading, EPOCH_S + 18_000))
    ended = store.one("SELECT filled, ended_s FROM silences")
    assert ended is not None and tuple(ended) == (20, EPOCH_S + 18_000)
    assert store.number("SELECT count(*) FROM intervals WHERE source='back-fill'") == 20
    store.close()


def test_polls_of_a_slow_meter_do_not_pile_up(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    plain = [PolledMeter("P1", "socket://h:1", 2, b"", "")]
    store.write_now(lambda c: import_polled(c, plain, 0))
    calendar = Calendar(EPOCH_S * US_PER_S)
    head_end = HeadEnd(store, calendar, make_template(), lambda function: None)
    head_end.load(0)
    asked = 0
    for minute in range(0, 600, 5):
        head_end.expire(minute * 60 * US_PER_S)
        asked += len(head_end.polled.take())
    assert asked == 1, "the first was never answered"
    assert head_end.figures.scheduled_polls == 2, "one for each schedule"
    store.close()


def test_a_poll_that_waited_behind_another_knows_what_that_one_brought(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    later: list[Callable[[], None]] = []
    plain = [PolledMeter("P1", "socket://h:1", 2, b"", "")]
    store.write_now(lambda c: import_polled(c, plain, EPOCH_S))
    calendar = Calendar(EPOCH_S * US_PER_S)
    head_end = HeadEnd(store, calendar, make_template(), later.append)
    head_end.load(0)

    def poll(bench: Bench, hours: float, *schedules: int) -> None:
        bench.run(hours - bench.now_us / 3600 / US_PER_S)
        now_us = int(hours * 3600 * US_PER_S)
        head_end.polled.plan = PollPlan(())
        head_end.expire(now_us)
        for schedule in schedules:
            head_end._poll(PollDue("P1", SCHEDULES[schedule], EPOCH_S + int(hours) * 3600))
        for _ in range(50):
            head_end.expire(now_us)
            for question in head_end.polled.take():
                answers = [bench.answer(one) for one in question.services]
                head_end.polled.answered(question.transaction, answers)
            store.write_now(lambda c: None)
            while later:
                later.pop(0)()

    poll(Bench(interval_min=60, serial="1"), 10.5, 1)
    poll(Bench(interval_min=60, serial="9999"), 23.5, 1, 2)
    assert store.number("SELECT count(*) FROM alarms") == 1
    assert store.number("SELECT max(ring_epoch) FROM intervals") == 2
    assert store.number("SELECT count(*) FROM polls WHERE cause=''") == 3
    store.close()


# The whole, with meters as processes.


def polls(tms: TmsServer, esn: str, *, good: bool) -> int:
    sql = "SELECT count(*) FROM polls WHERE esn=? AND (cause='')=?"
    return tms.store.number(sql, esn, good)


async def test_a_meter_process_is_polled_falls_silent_and_its_gap_is_filled(
    tmp_path: Path,
) -> None:
    rate = 1200
    clock = f"{wall_utc_us() // US_PER_S - 3600},{rate}"
    nobody = free_port()
    options = ("--tcp", "127.0.0.1:0", "--clock", clock, "--state", str(tmp_path / "meter"))
    calendar = shared_calendar(clock, wall_utc_us(), monotonic_us())
    async with running_tms(tmp_path / "tms", calendar) as tms:
        with meter_process(*options) as (port, _):
            address = port.removeprefix("tcp:")
            text = f"P1,socket://{address},2,reader,kV\nP2,tcp:127.0.0.1:{nobody},2,,none\n"
            assert await Service(tms).enter_polled(HEADER + text) == {"read": 2, "new": 2}
            await until(lambda: polls(tms, "P1", good=True) >= 3, "it is polled")
            await until(lambda: polls(tms, "P2", good=False) >= 1, "nobody is there")
            service = Service(tms)
            shown = service.meter("P1")
            assert (shown["state"], shown["polled"]) == (State.POLLED, True)
            assert shown["schedules"] and shown["next_due"]
            silent = service.meter("P2")
            assert silent["state"] == State.SILENT and "refused" in silent["cause"]
            assert service.overview()["late"][0]["esn"] == "P2"
            assert service.overview()["polls"] == 0, "these are no polls by exception"
            number = service.request("P1", "on-demand read", "ann")
            await until(lambda: service.work.one(number)["state"] == "done", "it can be read")
            assert service.collected.registers("P1")["registers"]
            with pytest.raises(SettingsError, match="plain meter"):
                service.request("P1", "demand reset", "ann")
        await until(lambda: polls(tms, "P1", good=False) >= 1, "its silence is seen")
        assert Service(tms).meter("P1")["state"] == State.SILENT
        with meter_process(*options[:1], address, *options[2:]):
            holes = "SELECT sum(filled) FROM silences WHERE esn='P1' AND ended_s != 0"
            await until(lambda: tms.store.number(holes) > 0, "the gap is filled")
            assert Service(tms).meter("P1")["state"] == State.POLLED
            profile = Service(tms).collected.load_profile("P1")
            ends = profile["end_s"]
            assert len(ends) == len(set(ends)) and profile["back_filled"]


async def test_a_wrong_password_is_a_cause_of_silence_and_is_not_tried_on(
    tmp_path: Path,
) -> None:
    async with running_tms(tmp_path) as tms:
        with meter_process("--tcp", "127.0.0.1:0") as (port, _):
            async with rest(tms) as client:
                text = f"{HEADER}P1,{port},2,wrong,kV\n"
                done = await client.post("/api/polled", content=text)
                assert done.json() == {"read": 1, "new": 1}
                for wrong in (b"\xff", b"esn", HEADER.encode() + b"P1,x,2,,\n"):
                    assert (await client.post("/api/polled", content=wrong)).status_code == 400
                await until(lambda: polls(tms, "P1", good=False) >= 1, "it fails")
                shown = (await client.get("/api/meters/P1/polls")).json()
                assert all("refuses the password" in one["cause"] for one in shown)
                assert {one["state"] for one in shown} == {"failed"}
                [told] = (await client.get("/api/polled")).json()
                wrong = "answers, but gave nothing: the meter refuses the password"
                assert (told["state"], told["cause"]) == (State.SILENT, wrong)
                assert not tms.head_end.polled.silent, "it does not wait among the dead"

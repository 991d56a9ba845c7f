"""A meter in the place of another: the history of the place goes on, each meter in its time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmeter.base.clock import Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.cli.tms import command
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.collected import Collected
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.store.interval_rows import store_intervals
from smartmeter.tms.store.places import store_replacement
from smartmeter.tms.store.records import store_events
from smartmeter.tms.store.sqlite import Store
from tests.smartmeter.tms.running import running_tms
from tests.smartmeter.tms.stored import part

EPOCH_S = 1_767_225_600
SHIPPED = [Shipped(f"SM{n}", f".7.{n}", bytes(16), "M") for n in range(1, 5)]


def measure(store: Store, esn: str, first_s: int, count: int, value: int) -> None:
    """Let a meter have measured intervals of 900 s from one that ends at ``first_s`` on."""
    told = part(0, [first_s + 900 * n for n in range(count)], value=value)
    store.write_now(lambda c: store_intervals(c, esn, told, "report", first_s))


#: Of each meter in a place: when it took it, the end of its first interval, how many there are.
PLACES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(-5, 60), st.integers(0, 40)), min_size=1, max_size=3
)


@settings(max_examples=60)
@given(PLACES, st.integers(0, 70), st.integers(0, 40), st.integers(1, 100))
def test_each_meter_counts_for_its_place_in_its_own_time_and_no_other(
    place: list[tuple[int, int, int]], from_step: int, steps: int, limit: int
) -> None:
    place.sort()
    store, step_s = MemoryStore(), 450  # replacements fall at ends of intervals and between them
    store.write_now(lambda c: import_shipment(c, SHIPPED, EPOCH_S))
    rows: list[tuple[int, int]] = []
    for number, (took, first, count) in enumerate(place, 1):
        begin_s = EPOCH_S + took * step_s if number > 1 else 0
        end_s = EPOCH_S + place[number][0] * step_s if number < len(place) else 1 << 40
        measure(store, f"SM{number}", EPOCH_S + first * 900, count, number)
        ends = [EPOCH_S + (first + n) * 900 for n in range(count)]
        rows += [(one, number) for one in ends if begin_s < one <= end_s]
        if number > 1:
            names = f"SM{number - 1}", f"SM{number}"
            store.write_now(lambda c, n=names, s=begin_s: store_replacement(c, *n, s))
    from_s, to_s = EPOCH_S + from_step * step_s, EPOCH_S + (from_step + steps) * step_s
    wanted = [row for row in rows if from_s <= row[0] <= to_s][-limit:]
    told = Collected(store).load_profile(f"SM{len(place)}", from_s, to_s, 1, limit, place=True)
    [values] = told["values"] or [[]]
    assert list(zip(told["end_s"], values, strict=True)) == wanted
    store.close()


async def test_a_place_is_shown_exported_and_given_back(tmp_path: Path) -> None:
    async with running_tms(tmp_path, Calendar((EPOCH_S + 86_400) * 1_000_000)) as tms:
        tms.import_shipment(SHIPPED)
        for number in (1, 2):
            measure(tms.store, f"SM{number}", EPOCH_S + 900, 8, number)
            log = [
                {"SEQUENCE": n, "TIME": EPOCH_S + 900 * n, "CODE": number, "USER_ID": 0}
                | {"ARGUMENT": b""}
                for n in range(8)
            ]
            entries, esn = {"ENTRIES": log}, f"SM{number}"
            tms.store.write_now(lambda c, e=esn, v=entries: store_events(c, e, v, 1))
        service = Service(tms)
        with pytest.raises(SettingsError, match="is yet to come"):
            service.replace("SM1", "SM2", "ann", service.utc_s + 60)
        service.replace("SM1", "SM2", "ann", EPOCH_S + 3600)
        told = service.meter("SM2")
        assert told["replaced_by"] == "" and told["place"] == [
            {"esn": "SM2", "from": "2026-01-01 01:00:00", "to": ""},
            {"esn": "SM1", "from": "", "to": "2026-01-01 01:00:00"},
        ]
        assert service.meter("SM1")["replaced_by"] == "SM2"
        with pytest.raises(SettingsError, match="SM2: is in the place of SM1"):
            service.replace("SM3", "SM2", "ann")
        assert service.meter("SM3")["state"] == "shipped", "all of it or nothing"
        with pytest.raises(SettingsError, match="SM1: is retired"):
            service.replace("SM2", "SM1", "ann")

        ends = {"SM1": ["00:15", "00:30", "00:45", "01:00"], "SM2": ["01:15", "01:30"]}
        ends["SM2"] += ["01:45", "02:00"]
        wanted = [(esn, f"2026-01-01T{end}:00Z") for esn, some in ends.items() for end in some]
        assert exported(tmp_path, "intervals", "end_utc", "SM2") == wanted
        assert exported(tmp_path, "intervals", "end_utc") == wanted, "of all, nothing twice"
        times = ["00:00", "00:15", "00:30", "00:45"], ["01:00", "01:15", "01:30", "01:45"]
        wanted = [
            (esn, f"2026-01-01T{time}:00Z")
            for esn, some in zip(ends, times, strict=True)
            for time in some
        ]
        assert exported(tmp_path, "events", "time_utc", "SM2") == wanted

        service.bring_back("SM1")
        assert service.meter("SM2")["place"] == [{"esn": "SM2", "from": "", "to": ""}]
        service.retire("SM1", "ann")
        service.replace("SM1", "SM3", "ann")  # also one that was retired before
        cause = service.meter("SM1")["cause"]
        assert cause == "replaced by SM3, by ann" and "SM1" in tms.head_end.retirement


def exported(data: Path, kind: str, time: str, *esns: str) -> list[tuple[str, str]]:
    """Give meter and time of each row of an export by place."""
    asked = ["export", kind, *esns, "--data", str(data), "--place", "--format", "jsonl"]
    done = CliRunner().invoke(command, asked, catch_exceptions=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [(row["esn"], row[time]) for row in rows]

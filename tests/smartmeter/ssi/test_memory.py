"""What a module keeps: its page is read as every version has written it."""

import json

from smartmeter.base.nvram import DAMAGED_PAGE, MemoryNvram
from smartmeter.ssi.invocation_ids import RESERVED_IDS, InvocationIds
from smartmeter.ssi.memory import MEMORY_PAGE, load_memory

#: All members, as they stand side by side on the page.
PAGE = {
    "meter": "m0",
    "meter_serial": "m1",
    "meter_seen_s": 3,
    "profile_epochs": {"1": 2, "0": 3},
    "profile_cursors": {"1": 40},
    "profile_shapes": {"1": [8, 96, 2, 15]},
    "profile_begins": {"1": 7},
    "profile_left_out": {"1": 8},
    "events_before": 4,
    "events_reported": 9,
    "events_judged": 10,
    "marks": {"1": 900},
    "marked": {"1": [0, 15, 0, 0, 0]},
    "marked_tasks": {"1": 1},
    "orders": [[2, 1800, 1]],
    "watch": {"1": [True, "05"]},
    "watched": {"1": "23 NBR_DEMAND_RESETS 0"},
    "faults_told": ["monitor 2: none"],
    "meter_lost": True,
    "clock_refused": True,
    "password_refused": True,
    "context_sent": 118,
    "next_alarm": 119,
    "advisories": ["00ff"],
    "outage_start_s": 11,
    "outage_reported": True,
    "meter_down_s": 12,
    "next_outage": 124,
    "momentaries": 125,
    "outages": [[1, 2, 3]],
    "outages_waiting": [[2, 4, 5]],
    "power_gaps": [[4, 5]],
    "gaps_logged": [4],
    "zone": [3600, 7, 0],
    "acknowledged_s": 130,
    "profile_gaps": [[1, 2, 3, 4]],
    "reset_s": 132,
    "self_read_s": 133,
    "effects_due": {"20": [8]},
    "self_read_asked": [6, None],
    "reset_told": False,
    "reset_before_s": 13,
    "reset_open": True,
    "reset_count": 14,
    "season": 2,
    "calendar": "m41",
    "status_bits": "0001",
    "nominal_v": {"PRESENT_VALUE.0": 120},
    "nominal_version": 144,
    "restarts": 145,
    "watchdog_resets": 146,
    "reports": 147,
    "reports_dropped": 148,
    "events_missed": 149,
}


def test_the_members_of_all_groups_stand_side_by_side_on_the_page() -> None:
    nvram = MemoryNvram({MEMORY_PAGE: json.dumps(PAGE).encode()})
    memory, damaged = load_memory(nvram)
    assert not damaged and memory.losses.power_gaps == [[4, 5]] and memory.resets.reset_count == 14
    kept = memory.pages()[MEMORY_PAGE]
    assert kept is not None and json.loads(kept) == PAGE


def test_a_page_without_members_or_with_those_of_a_later_version_is_read() -> None:
    nvram = MemoryNvram({MEMORY_PAGE: b'{"restarts": 3, "momentaries": 2, "lists": 1, "new": 5}'})
    memory, damaged = load_memory(nvram)
    assert not damaged and (memory.restarts, memory.losses.momentaries) == (3, 2)
    assert memory.lists.events_judged is None


def test_a_medium_that_has_lost_the_page_itself_is_told_from_a_new_one() -> None:
    """Else alarms would be numbered anew in an epoch in which the TMS has those numbers."""
    _, damaged = load_memory(MemoryNvram({DAMAGED_PAGE: b"1"}))
    assert damaged and not load_memory(MemoryNvram())[1]


def test_no_restart_uses_an_invocation_id_twice_however_many_were_used_before_it() -> None:
    nvram, unused = MemoryNvram(), 1
    for count in (0, 1, RESERVED_IDS - 1, 5 * RESERVED_IDS, 7):
        ids = InvocationIds(nvram)
        assert ids.first() >= unused
        for unused in range(ids.first(), ids.first() + count + 1):
            ids.reserve(unused)

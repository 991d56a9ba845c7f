"""A message whose answer was lost acts twice; what it did the first time is told as done."""

from __future__ import annotations

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable, UpgradeResult, UpgradeState
from smartmeter.simulation.fleet import Fleet, FleetSettings
from smartmeter.simulation.swarm import HOUR_US
from smartmeter.ssi.upgrade import MODEL
from smartmeter.tms.exchanges import ExchangeRefused
from smartmeter.tms.jobs import Job
from smartmeter.tms.model import Kind
from smartmeter.tms.upgrades import make_image, send
from tests.smartmeter.ssi.upgrade_image import NEW, PRIVATE, PUBLIC, image


def lose_first_answer(fleet: Fleet, kind: Kind) -> list[bytes]:
    """Lose the first ok to a write of such jobs; give what was lost."""
    jobs = fleet.head_end.jobs
    note, take = jobs.sent, jobs.answered
    asked, lost = set[int](), list[bytes]()

    def sent(job: Job, transaction: int) -> None:
        note(job, transaction)
        if job.kind == kind:
            asked.add(transaction)

    def answered(transaction: int, responses: list[bytes], now_us: int) -> None:
        if transaction in asked and responses[0] == b"\0" and not lost:
            lost.append(responses[0])
            jobs.unanswered(transaction, "no answer in time", now_us)
        else:
            take(transaction, responses, now_us)

    jobs.sent, jobs.answered = sent, answered  # type: ignore[method-assign]
    return lost


def ends(fleet: Fleet, esn: str, kind: Kind) -> list[tuple[str, str, int]]:
    """Order it twice; give state, cause and attempts of each."""
    for _ in range(2):
        fleet.head_end.request(esn, kind, "ann")
        fleet.run(fleet.now_us + HOUR_US // 4)
    sql = "SELECT state, cause, attempts FROM jobs WHERE kind=? ORDER BY id"
    return [tuple(row) for row in fleet.store.read(sql, kind)]


def test_an_image_is_withdrawn_though_the_answer_was_lost() -> None:
    fleet = Fleet(FleetSettings(1, 1, 1, faults=False), upgrade_key=PUBLIC)
    [esn] = fleet.houses
    fleet.run(HOUR_US // 4)
    later_s = fleet.head_end.utc_s + 3 * 3600
    fleet.head_end.upgrade([esn], make_image(b"p" * 3000, MODEL, NEW, PRIVATE), later_s, "ann")
    fleet.run(HOUR_US // 2)
    lost = lose_first_answer(fleet, Kind.WITHDRAW)
    first, second = ends(fleet, esn, Kind.WITHDRAW)
    assert (lost, first) == ([b"\0"], ("done", "", 2))
    assert second[0] == "failed" and "nothing to withdraw" in second[1], "and nothing twice"


def test_a_demand_is_reset_though_the_answer_was_lost() -> None:
    fleet = Fleet(FleetSettings(1, 1, 1, faults=False))
    [esn] = fleet.houses
    fleet.run(HOUR_US // 4)
    lost = lose_first_answer(fleet, Kind.DEMAND_RESET)
    first, second = ends(fleet, esn, Kind.DEMAND_RESET)
    assert (lost, first) == ([b"\0"], ("done", "", 2))
    assert second[:2] == (
        "failed",
        "demand reset: the SmartMeter answered onp (operation not possible)",
    ), "once a day"


def test_an_image_that_was_started_and_left_is_not_sent_again() -> None:
    """The answer to its activation was lost: the second is refused by the version before it."""
    told = {
        "STATE": UpgradeState.VERIFIED,
        "RESULT": UpgradeResult.NONE,
        "RUNNING_VERSION": "1.0",
        "RUNNING_SLOT": 0,
        "IMAGE_VERSION": NEW,
        "IMAGE_DIGEST": image().digest,
        "IMAGE_OCTETS": len(image().octets),
        "RECEIVED_OCTETS": len(image().octets),
        "ACTIVATION_TIME": 0,
    }
    left = {"STATE": UpgradeState.IDLE, "RESULT": UpgradeResult.ROLLED_BACK}
    script = send(DEFAULT_BASE, image(), 0)
    next(script)
    assert len(script.send([read_answer(told)])) == 2
    with pytest.raises(ExchangeRefused, match="rolled back"):
        script.send([b"\4", read_answer({**told, **left})])


def read_answer(status: dict[str, object]) -> bytes:
    """Give what a read of UPGRADE_STATUS is answered."""
    octets = ssi_tables.encode(SsiTable.UPGRADE_STATUS, status)
    return b"\0" + len(octets).to_bytes(2, "big") + octets + bytes([-sum(octets) & 0xFF])

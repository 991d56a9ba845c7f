"""What a person ordered goes on after a restart of the TMS, under its number and to its end."""

from itertools import pairwise
from random import Random

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.simulation.fleet import Fleet, FleetSettings
from smartmeter.simulation.swarm import HOUR_US
from smartmeter.ssi.upgrade import MODEL
from smartmeter.tms import kept_images
from smartmeter.tms.model import Kind
from smartmeter.tms.orders import UPGRADE_WAITS_S
from smartmeter.tms.store.job_rows import MAX_TAKEN_UP
from smartmeter.tms.upgrades import Image, make_image
from smartmeter.version import VERSION
from tests.smartmeter.ssi.upgrade_image import NEW, PRIVATE, PUBLIC
from tests.smartmeter.tms.street import Street

#: Forty messages for each meter.
PAYLOAD = Random("pieces").randbytes(40_000)
IMAGE = make_image(PAYLOAD, MODEL, NEW, PRIVATE)
BEGIN_US = 2 * HOUR_US
WAITS = "not connected; waits until the SmartMeter is heard"


def running_fleet(meters: int, seed: int) -> Fleet:
    """Give a fleet whose meters are provisioned."""
    fleet = Fleet(FleetSettings(meters, 1, seed, faults=False), upgrade_key=PUBLIC)
    fleet.run(BEGIN_US)
    return fleet


def restart(fleet: Fleet) -> None:
    """Cut the head-end off, and start another on its store."""
    fleet.head_end = fleet._open_office()


def ends(fleet: Fleet) -> dict[int, tuple[str, str]]:
    """Give state and cause of what people ordered."""
    rows = fleet.store.read("SELECT id, state, cause FROM jobs WHERE requested_by='ann'")
    return {row["id"]: (row["state"], row["cause"]) for row in rows}


def images(fleet: Fleet) -> int:
    return fleet.store.number("SELECT count(*) FROM upgrade_images")


@pytest.mark.parametrize("seed", range(4))
def test_a_list_of_upgrades_goes_on_over_restarts_at_any_moment(seed: int) -> None:
    fleet, chance = running_fleet(3, seed), Random(seed)
    numbers = fleet.head_end.upgrade(list(fleet.houses), IMAGE, 0, "ann")
    for _ in range(chance.randint(1, 4)):
        fleet.run(fleet.now_us + round(10 ** chance.uniform(4, 8.5)))
        restart(fleet)
    fleet.run(fleet.now_us + 2 * HOUR_US)
    assert ends(fleet) == dict.fromkeys(numbers.values(), ("done", ""))
    assert {house.device.starts[-1] for house in fleet.houses.values()} == {NEW}
    assert images(fleet) == 0, "nobody is sent it any more"


def test_what_a_module_has_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = running_fleet(1, 1)
    [house] = fleet.houses.values()
    fleet.head_end.upgrade(list(fleet.houses), IMAGE, 0, "ann")
    upgrade = house.device.module.parts.upgrade
    taken, take = list[int](), upgrade.piece

    def piece(offset: int, octets: bytes) -> bool:
        taken.append(offset)
        return take(offset, octets)

    monkeypatch.setattr(upgrade, "piece", piece)
    while len(taken) < 20:
        fleet.run(fleet.now_us + 100_000)
    restart(fleet)
    fleet.run(fleet.now_us + HOUR_US)
    again = [offset for offset in taken if taken.count(offset) > 1]
    assert sorted(set(taken)) == list(range(0, len(IMAGE.octets), 1024)) and len(again) <= 2


def test_a_version_that_was_to_start_while_the_tms_was_down_starts_when_it_has_come() -> None:
    """As one does whose pieces took longer than until then."""
    fleet = running_fleet(1, 1)
    [house] = fleet.houses.values()
    at_s = fleet.head_end.utc_s + 1
    [number] = fleet.head_end.upgrade(list(fleet.houses), IMAGE, at_s, "ann").values()
    restart(fleet)  # the way to the meter is known again when it reports
    fleet.run(fleet.now_us + 2_000_000)
    assert ends(fleet)[number][0] in ("waiting", "running")
    fleet.run(fleet.now_us + HOUR_US)
    assert ends(fleet) == {number: ("done", "")} and house.device.starts[-1] == NEW


def test_a_version_waits_for_its_time_though_the_order_was_taken_up() -> None:
    fleet = running_fleet(1, 1)
    [house] = fleet.houses.values()
    at_s = fleet.head_end.utc_s + 3 * 3600
    fleet.head_end.upgrade(list(fleet.houses), IMAGE, at_s, "ann")
    restart(fleet)
    fleet.run(fleet.now_us + 2 * HOUR_US)
    assert house.device.starts[-1] == VERSION and images(fleet) == 0
    fleet.run(fleet.now_us + 2 * HOUR_US)
    assert house.device.starts[-1] == NEW


def test_what_was_cancelled_or_retired_stays_so() -> None:
    fleet = running_fleet(3, 1)
    kept, cancelled, retired = fleet.houses
    numbers = fleet.head_end.upgrade([kept, cancelled, retired], IMAGE, 0, "ann")
    fleet.head_end.cancel(fleet.head_end.orders.of_people("", [cancelled]), "ann")
    fleet.head_end.retirement.retire(retired, "by ann", fleet.head_end.utc_s, fleet.now_us)
    restart(fleet)
    fleet.run(fleet.now_us + HOUR_US)
    gone = "1 message had gone out, and what came of it stays"
    assert ends(fleet) == {
        numbers[kept]: ("done", ""),
        numbers[cancelled]: ("cancelled", f"by ann; {gone}"),
        numbers[retired]: ("failed", "the meter was retired"),
    }
    assert fleet.houses[cancelled].device.starts[-1] == VERSION and images(fleet) == 0


def test_a_withdrawal_goes_on_and_is_done_though_it_was_done_before() -> None:
    fleet = running_fleet(1, 1)
    [esn] = fleet.houses
    fleet.head_end.upgrade([esn], IMAGE, fleet.head_end.utc_s + 3 * 3600, "ann")
    fleet.run(fleet.now_us + HOUR_US)
    number = fleet.head_end.request(esn, Kind.WITHDRAW, "ann")
    fleet.run(fleet.now_us + HOUR_US // 4)
    assert ends(fleet)[number] == ("done", "")
    # As if the program had ended before it was told.
    sql = "UPDATE jobs SET state='running', ended_s=0 WHERE id=?"
    fleet.store.write_now(lambda c: c.execute(sql, (number,)).rowcount)
    restart(fleet)
    fleet.run(fleet.now_us + 4 * HOUR_US)
    assert ends(fleet)[number] == ("done", "")
    assert fleet.houses[esn].device.starts[-1] == VERSION


@pytest.mark.parametrize("damage", ["DELETE FROM", "UPDATE"])
def test_an_upgrade_whose_image_is_lost_ends_and_says_so(damage: str) -> None:
    fleet = running_fleet(1, 1)
    [number] = fleet.head_end.upgrade(list(fleet.houses), IMAGE, 0, "ann").values()
    sql = f"{damage} upgrade_images" + (" SET file=x'00'" if damage == "UPDATE" else "")
    fleet.store.write_now(lambda c: c.execute(sql).rowcount)
    restart(fleet)
    lost = "its image: is not in the database as it was ordered; send it again"
    assert ends(fleet) == {number: ("failed", lost)} and images(fleet) == 0
    [number] = fleet.head_end.upgrade(list(fleet.houses), IMAGE, 0, "ann").values()
    fleet.run(fleet.now_us + HOUR_US)
    assert ends(fleet)[number] == ("done", "")


def test_an_image_is_in_memory_and_in_the_store_once_for_all_of_a_list() -> None:
    fleet = running_fleet(3, 1)
    esns = list(fleet.houses)
    fleet.head_end.upgrade(esns[:2], IMAGE, 0, "ann")
    fleet.head_end.upgrade(esns[2:], make_image(PAYLOAD, MODEL, NEW, PRIVATE), 0, "bob")
    for _ in range(2):
        sent = {id(job.script.args[1]) for job in fleet.head_end.jobs.under_way()}  # type: ignore[attr-defined]
        assert (len(sent), images(fleet)) == (1, 1)
        restart(fleet)


def test_too_many_images_at_one_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_images, "MAX_IMAGES", 1)
    fleet = running_fleet(2, 1)
    one, other = fleet.houses
    fleet.head_end.upgrade([one], IMAGE, 0, "ann")
    newer = make_image(PAYLOAD, MODEL, "99", PRIVATE)
    with pytest.raises(SettingsError, match="1 others are being sent"):
        fleet.head_end.upgrade([other], newer, 0, "ann")
    fleet.run(fleet.now_us + HOUR_US)
    assert fleet.head_end.upgrade([other], newer, 0, "ann")


def test_an_order_that_was_under_way_at_a_hundred_restarts_ends() -> None:
    """It may be what ends the program; what only waits is not."""
    street = Street()
    [number] = street.head_end.upgrade([street.esn], IMAGE, 0, "ann").values()
    for _ in range(MAX_TAKEN_UP):
        street.restart()
        street.restart()  # its meter has not come
        [job] = street.head_end.jobs.under_way()
        assert (job.id, job.kind) == (number, Kind.UPGRADE)
        street.report(street.head_end.template.version)
        assert job.state == "running"
    street.restart()
    assert street.head_end.jobs.under_way()
    street.restart()
    row = street.store.one("SELECT state, cause FROM jobs WHERE id=?", number)
    text = "the TMS was restarted; what had gone out may have been done"
    assert row is not None and tuple(row) == ("failed", text)


def test_an_upgrade_of_an_older_program_is_told_as_cut_off() -> None:
    """It kept no image."""
    street = Street()
    [number] = street.head_end.upgrade([street.esn], IMAGE, 0, "ann").values()
    street.store.write_now(lambda c: c.execute("UPDATE jobs SET image=NULL").rowcount)
    street.restart()
    assert not street.head_end.jobs.under_way()
    row = street.store.one("SELECT state FROM jobs WHERE id=?", number)
    assert row is not None and row["state"] == "failed"


def test_what_is_asked_is_asked_when_the_meter_has_come_again() -> None:
    street = Street()
    street.report(street.head_end.template.version)
    kinds = (Kind.READ, Kind.PING, Kind.TRACE, Kind.WITHDRAW)
    numbers = [street.head_end.request(street.esn, kind, "ann") for kind in kinds]
    street.restart()
    street.go_on(600)
    jobs = {job.id: job for job in street.head_end.jobs.under_way()}
    assert list(jobs) == numbers and jobs[numbers[0]].cause == WAITS
    street.report(street.head_end.template.version)
    assert jobs[numbers[0]].state == "running"
    street.head_end.cancel(list(jobs.values())[:1], "bob")
    [cause] = street.store.read("SELECT cause FROM jobs WHERE id=?", numbers[0])
    text = "by bob; what had gone out before the TMS was restarted, or since, is not taken back"
    assert cause[0] == text


def test_an_image_is_written_once_however_many_orders_there_are_to_send_it() -> None:
    street = Street()
    counts = [street.store.write_now(lambda c: c.total_changes)]
    for factory in street.factories:
        street.head_end.upgrade([factory.esn], IMAGE, 0, "ann")
        counts.append(street.store.write_now(lambda c: c.total_changes))
    first, *others = (after - before for before, after in pairwise(counts))
    assert others == [first - 1] * 2


def test_an_image_is_kept_no_longer_than_somebody_is_sent_it() -> None:
    street = Street()
    esns = [factory.esn for factory in street.factories]
    street.head_end.upgrade(esns[:2], IMAGE, 0, "ann")
    other: Image = make_image(PAYLOAD, MODEL, "99", PRIVATE)
    street.head_end.upgrade(esns[2:], other, 0, "ann")
    for esn, left in zip(esns, (2, 1, 0), strict=True):
        street.head_end.cancel(street.head_end.orders.of_people("", [esn]), "ann")
        assert street.store.number("SELECT count(*) FROM upgrade_images") == left


def test_an_upgrade_waits_for_a_meter_that_is_not_there_and_names_it_silent() -> None:
    """For days, and over a restart, but not for ever; what else is asked of it passes by."""
    street = Street()
    for _ in range(2):
        street.report(street.head_end.template.version)
    street.head_end.disconnected(0)
    [number] = street.head_end.upgrade([street.esn], IMAGE, 0, "ann").values()
    street.go_on(3 * 3600)
    assert ends_of(street, number) == ("waiting", WAITS) and street.state == "silent"
    street.restart()
    street.go_on(3600)
    assert ends_of(street, number) == ("waiting", WAITS)
    street.report(street.head_end.template.version)
    assert ends_of(street, number)[0] == "running"
    street.head_end.disconnected(0)
    street.now_us += UPGRADE_WAITS_S * 1_000_000
    street.go_on(1200)
    assert ends_of(street, number) == ("failed", "not connected")


def ends_of(street: Street, number: int) -> tuple[str, str]:
    row = street.store.one("SELECT state, cause FROM jobs WHERE id=?", number)
    assert row is not None
    return row["state"], row["cause"]


@pytest.mark.parametrize("seed", range(6))
def test_a_demand_reset_is_done_once_over_restarts_at_any_moment(seed: int) -> None:
    fleet, chance = running_fleet(1, seed), Random(seed)
    [house] = fleet.houses.values()
    number = fleet.head_end.request(house.device.esn, Kind.DEMAND_RESET, "ann")
    for _ in range(2):
        fleet.run(fleet.now_us + round(10 ** chance.uniform(3, 8)))
        restart(fleet)
    fleet.run(fleet.now_us + HOUR_US)
    assert ends(fleet) == {number: ("done", "")}
    assert house.device.meter.metering.registers.resets == 1


def test_a_demand_reset_that_was_done_already_is_not_done_again() -> None:
    fleet = running_fleet(1, 1)
    [house] = fleet.houses.values()
    number = fleet.head_end.request(house.device.esn, Kind.DEMAND_RESET, "ann")
    fleet.run(fleet.now_us + HOUR_US // 4)
    sql = "UPDATE jobs SET state='running', ended_s=0 WHERE id=?"
    fleet.store.write_now(lambda c: c.execute(sql, (number,)).rowcount)
    fleet.run(fleet.now_us + 11 * HOUR_US)
    restart(fleet)
    fleet.run(fleet.now_us + HOUR_US)
    assert ends(fleet) == {number: ("done", "")}
    assert house.device.meter.metering.registers.resets == 1


def test_a_second_demand_reset_is_not_done_by_the_first_though_a_restart_cut_it_off() -> None:
    fleet = running_fleet(1, 1)
    [house] = fleet.houses.values()
    first = fleet.head_end.request(house.device.esn, Kind.DEMAND_RESET, "ann")
    fleet.run(fleet.now_us + HOUR_US // 12)
    second = fleet.head_end.request(house.device.esn, Kind.DEMAND_RESET, "ann")
    restart(fleet)
    fleet.run(fleet.now_us + HOUR_US)
    refused = "demand reset: the SmartMeter answered onp (operation not possible)"
    assert ends(fleet) == {first: ("done", ""), second: ("failed", refused)}
    assert house.device.meter.metering.registers.resets == 1


def test_a_demand_reset_is_not_asked_for_again_days_later_by_a_clock_that_was_behind() -> None:
    """A board without one begins with the time at which it was cut off."""
    street = Street()
    for _ in range(2):
        street.report(street.head_end.template.version)
    street.head_end.disconnected(0)
    number = street.head_end.request(street.esn, Kind.DEMAND_RESET, "ann")
    street.restart()
    street.go_on(60)
    assert ends_of(street, number) == ("waiting", WAITS)
    street.calendar.set((street.head_end.utc_s + 2 * 86_400) * 1_000_000, street.now_us)
    street.register()
    assert ends_of(street, number)[0] == "failed"


def test_a_provisioning_goes_on_and_its_meter_is_not_said_to_have_failed() -> None:
    street = Street()
    street.report(street.head_end.template.version + 1)
    street.head_end.cancel(street.head_end.orders.of_people(), "ann")
    street.go_on(600)
    number = street.head_end.request(street.esn, Kind.PROVISION, "ann")
    assert street.state == "provisioning"
    street.restart()
    street.go_on(60)
    assert street.state == "provisioning" and ends_of(street, number) == ("waiting", WAITS)
    street.register()
    kinds = [job.kind for job in street.head_end.jobs.under_way()]
    assert kinds == [Kind.PROVISION] and ends_of(street, number)[0] == "running", "one, not two"
    street.go_on(1200)
    assert street.state == "not provisioned"

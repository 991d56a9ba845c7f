"""Upgrades: what is refused, what resumes, power cuts anywhere, and the way back.

The table of topics after NISTIR 7823 is in ``docs/upgrade_tests.rst``.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import (
    AlarmSource,
    Command,
    Disposition,
    ModuleAlarm,
    SsiTable,
    UpgradeResult,
    UpgradeState,
)
from protocols.psem.codec import encode_request
from protocols.psem.services import OffsetRead
from smartmeter.base import signing
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.network.faults import Partition
from smartmeter.simulation.fleet import Fleet, FleetSettings
from smartmeter.simulation.swarm import HOUR_US
from smartmeter.ssi import boot as slots
from smartmeter.ssi.states import ErrorCode, State
from smartmeter.ssi.upgrade import MODEL, TRIAL_US, Program, Upgrade, version_order
from smartmeter.tms.upgrades import Image, make_image
from smartmeter.version import VERSION
from tests.smartmeter.ssi import host
from tests.smartmeter.ssi.host import Street, command, decoded, own_read, own_write
from tests.smartmeter.ssi.upgrade_image import NEW, PAYLOAD, PRIVATE, PUBLIC, image


def pieces_of(one: Image) -> list[tuple[int, bytes]]:
    return [(at, one.octets[at : at + 1024]) for at in range(0, len(one.octets), 1024)]


def machine(nvram: MemoryNvram | None = None, key: bytes = PUBLIC) -> Upgrade:
    nvram = nvram or MemoryNvram()
    return Upgrade(nvram, key, Program(slots.start(nvram)), 0)


def receive(upgrade: Upgrade, one: Image) -> None:
    assert upgrade.offer(one.manifest)
    for at, octets in pieces_of(one):
        assert upgrade.piece(at, octets)


# What is refused.


@pytest.mark.parametrize(
    ("changes", "key", "result"),
    [
        ({"private_key": bytes(32)}, PUBLIC, UpgradeResult.WRONG_SIGNATURE),
        ({"model": "another"}, PUBLIC, UpgradeResult.WRONG_MODEL),
        ({"version": VERSION}, PUBLIC, UpgradeResult.NOT_NEWER),
        ({"version": f"{VERSION}.0"}, PUBLIC, UpgradeResult.NOT_NEWER),
        ({"version": "0.0.9"}, PUBLIC, UpgradeResult.NOT_NEWER),
        ({}, b"", UpgradeResult.NO_KEY),
    ],
)
def test_an_image_that_must_not_run_is_refused_before_it_is_received(
    changes: dict[str, Any], key: bytes, result: UpgradeResult
) -> None:
    upgrade = machine(key=key)
    one = image(**changes)
    assert not upgrade.offer(one.manifest)
    assert upgrade.status()["RESULT"] == result
    assert not upgrade.piece(*pieces_of(one)[0])


def test_a_version_on_its_way_to_a_release_lies_between_that_and_the_one_before() -> None:
    older_to_newer = (
        *("none", "0.2", "0.3.dev1", "0.3.dev2", "0.3a1.dev1", "0.3a1", "0.3b2", "0.3rc1"),
        *("0.3rc2", "0.3", "0.3.post1.dev1", "0.3.post1", "0.3.1rc1", "0.3.1", "0.10", "1"),
    )
    for older, newer in pairwise(older_to_newer):
        assert version_order(older) < version_order(newer)
    assert version_order("1.0.0rc1") == version_order("1rc1")


@pytest.mark.parametrize("place", [0, 20, 40, 70])
def test_a_manifest_with_any_changed_octet_is_refused(place: int) -> None:
    manifest = bytearray(image().manifest)
    manifest[place] ^= 1
    assert not machine().offer(bytes(manifest))


def test_an_image_with_a_changed_octet_is_not_activated() -> None:
    upgrade, one = machine(), image()
    changed = Image(one.manifest, one.octets[:2000] + b"?" + one.octets[2001:])
    receive(upgrade, changed)
    status = upgrade.status()
    assert (status["STATE"], status["RESULT"]) == (UpgradeState.IDLE, UpgradeResult.DIGEST_DIFFERS)
    assert not upgrade.activate(one.digest, 0)


def test_pieces_out_of_place_are_refused_and_repeated_ones_are_taken() -> None:
    upgrade, one = machine(), image()
    first, second, third = pieces_of(one)
    assert upgrade.offer(one.manifest)
    assert not upgrade.piece(*second)
    assert not upgrade.piece(5, first[1])
    assert not upgrade.piece(0, first[1][:-1])
    assert upgrade.piece(*first) and upgrade.piece(*first)
    assert upgrade.status()["RECEIVED_OCTETS"] == 1024
    assert upgrade.piece(*second) and upgrade.piece(*third)
    assert upgrade.status()["STATE"] == UpgradeState.VERIFIED


def test_a_cancelled_image_leaves_nothing_behind() -> None:
    nvram = MemoryNvram()
    upgrade = machine(nvram)
    receive(upgrade, image())
    assert upgrade.cancel() and not list(nvram.names("slot"))
    assert not upgrade.activate(image().digest, 0)


# Slots, trial and the way back.


def test_a_version_that_is_started_too_often_without_success_is_left() -> None:
    nvram = MemoryNvram()
    upgrade = machine(nvram)
    receive(upgrade, image())
    assert upgrade.activate(image().digest, 100) and not upgrade.start_due(99)
    assert upgrade.start_due(100)
    versions = [slots.start(nvram).version for _ in range(slots.TRIAL_STARTS + 1)]
    assert versions == [NEW] * slots.TRIAL_STARTS + [VERSION]
    assert machine(nvram).news is UpgradeResult.ROLLED_BACK


@pytest.mark.parametrize(
    ("packed", "result"),
    [(False, UpgradeResult.IMAGE_CORRUPT), (True, UpgradeResult.NOT_UNPACKED)],
)
def test_an_image_that_cannot_be_started_is_left_at_once(
    packed: bool, result: UpgradeResult
) -> None:
    nvram = MemoryNvram()
    upgrade = machine(nvram)
    one = image(packed=packed)
    receive(upgrade, one)
    assert upgrade.activate(one.digest, 0) and upgrade.start_due(1)
    if packed:
        boot = slots.read_boot(nvram)
        broken = one.octets[:-1] + b"?"
        index = (len(broken) - 1) // 1024
        nvram.commit({slots.piece_name(boot.slot, index): broken[index * 1024 :]})
        page = slots.Boot(**{**vars(boot), "digest": hashlib.sha256(broken).hexdigest()}).page()
        nvram.commit(page)
    else:
        nvram.commit({slots.piece_name(1, 1): b"?" * 1024})
    assert slots.start(nvram).version == VERSION
    assert machine(nvram).news is result


# Power cuts.


class PowerCut(Exception):
    """The power went at a write to the memory."""


class CutNvram(MemoryNvram):
    """Loses power at the n-th commit: before it, or just after it."""

    def __init__(self, cut_at: int, after: bool) -> None:
        super().__init__()
        self.cut_at, self.after = cut_at, after

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        self.cut_at -= 1
        if self.cut_at == 0 and not self.after:
            raise PowerCut
        super().commit(changes)
        if self.cut_at == 0:
            raise PowerCut


def one_life(nvram: MemoryNvram, one: Image, good: bool, lives: int) -> str | None:
    """Start, and go on with the upgrade as a sender and a host would; the version that stays."""
    upgrade = machine(nvram)
    if upgrade.on_trial:
        if good:
            upgrade.reached()
        elif lives % 2:
            upgrade.trial_over(UpgradeResult.ROLLED_BACK)
        return None
    if upgrade.news is not None or upgrade.boot.version == NEW:
        return upgrade.boot.version
    if upgrade.status()["IMAGE_DIGEST"] != one.digest:
        assert upgrade.offer(one.manifest)
    for at, octets in pieces_of(one):
        if at >= upgrade.status()["RECEIVED_OCTETS"]:
            assert upgrade.piece(at, octets)
    assert upgrade.activate(one.digest, 0) and upgrade.start_due(1)
    return None


def survive(nvram: MemoryNvram, one: Image, good: bool) -> str:
    for lives in range(40):
        try:
            version = one_life(nvram, one, good, lives)
        except PowerCut:
            continue
        if version is not None:
            return version
    raise AssertionError("bricked: no version stays")


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("step", range(1, 14))
def test_a_power_cut_at_any_step_bricks_nothing(step: int, after: bool, good: bool) -> None:
    nvram = CutNvram(step, after)
    assert survive(nvram, image(), good) == (NEW if good else VERSION)


def cut_at_random(seed: int) -> None:
    chance = Random(seed)
    good = chance.random() < 0.7
    nvram = CutNvram(chance.randint(1, 16), chance.random() < 0.5)
    one = image()
    for _ in range(200):
        try:
            version = one_life(nvram, one, good, chance.randrange(2))
        except PowerCut:
            nvram.cut_at = chance.randint(1, 16) if chance.random() < 0.8 else 10_000
            continue
        if version is not None:
            # A good version whose every trial was cut short is left too: that is no brick.
            nvram.cut_at = 10_000
            left = machine(nvram).status()["RESULT"] == UpgradeResult.ROLLED_BACK
            assert version == (NEW if good and not left else VERSION), f"seed {seed}"
            return
    raise AssertionError(f"bricked: seed {seed}")


def test_two_hundred_upgrades_with_power_cuts_at_random_brick_nothing() -> None:
    for seed in range(200):
        cut_at_random(seed)


@pytest.mark.night
def test_ten_thousand_upgrades_with_power_cuts_at_random_brick_nothing() -> None:
    for seed in range(10_000):
        cut_at_random(seed)


# End to end.


def street_with_key(monkeypatch: pytest.MonkeyPatch, baud: int | None = None) -> Street:
    factory = host.Factory(**{**vars(host.FACTORY), "upgrade_key": PUBLIC})
    monkeypatch.setattr(host, "FACTORY", factory)
    street = Street(baud=baud)
    street.run(10)
    street.provision(SCHEDULES=host.schedules(host.schedule()), OUTAGE=host.OUTAGE)
    return street


def send_all(street: Street, one: Image) -> None:
    assert street.ask(own_write(SsiTable.UPGRADE_MANIFEST, one.manifest)) == [b"\0"]
    for at, octets in pieces_of(one):
        piece = ssi_tables.encode(SsiTable.UPGRADE_PIECE, {"OFFSET": at, "OCTETS": octets})
        assert street.ask(own_write(SsiTable.UPGRADE_PIECE, piece)) == [b"\0"]
        street.device.restart(street.world.now_us)  # what was taken survives
        street.run(5)
    order = {"IMAGE_DIGEST": one.digest, "TIME": 0}
    activate = own_write(
        SsiTable.UPGRADE_ACTIVATE, ssi_tables.encode(SsiTable.UPGRADE_ACTIVATE, order)
    )
    assert street.ask(activate) == [b"\0"]


def test_a_module_runs_the_new_version_and_loses_no_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = street_with_key(monkeypatch)
    send_all(street, image())
    street.run(3600)
    status = decoded(SsiTable.UPGRADE_STATUS, street.ask(own_read(SsiTable.UPGRADE_STATUS))[0])
    assert status["RUNNING_VERSION"] == NEW and status["RESULT"] == UpgradeResult.CONFIRMED
    assert street.host.parts(SsiTable.MODULE_VERSION)[-1]["FW_VERSION"] == NEW
    assert street.device.module.state is State.PROVISIONED
    street.run(1000)
    assert [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)] == [ModuleAlarm.UPGRADED]
    told = [(s, end, values) for s, end, values in street.host.intervals()]
    assert told == [(o.sequence, o.end_utc_s, list(o.values)) for o in street.journal][: len(told)]
    assert len(told) >= len(street.journal) - 1


def test_a_short_outage_right_after_a_new_version_was_started_is_no_failed_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = street_with_key(monkeypatch, baud=9600)
    send_all(street, image())
    device = street.device
    street.world.run(street.world.now_us + 10**7, lambda: device.starts[-1] == NEW)
    street.run(0.3)
    assert device.module.meter is None
    device.mains(False, street.world.now_us)
    street.run(20)
    assert not device.module.dead
    device.mains(True, street.world.now_us)
    street.run(600)
    assert device.starts.count(NEW) == 1
    assert device.module.parts.upgrade.status()["RESULT"] == UpgradeResult.CONFIRMED


def test_a_version_that_is_started_in_an_outage_has_only_the_energy_that_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = street_with_key(monkeypatch)
    send_all(street, image())
    device = street.device
    device.mains(False, street.world.now_us)
    street.run(30)
    assert device.starts[-1] == NEW and not device.module.parts.outage.mains_on
    street.run(60)
    assert device.module.dead
    device.mains(True, street.world.now_us)
    street.run(600)
    assert device.module.parts.upgrade.status()["RESULT"] == UpgradeResult.CONFIRMED


def test_a_version_that_does_not_reach_its_tms_is_rolled_back_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = street_with_key(monkeypatch)
    send_all(street, image())
    cut = host_cut(street)  # before the restart, which waits until its answer has left
    street.world.run(street.world.now_us + 10**7, lambda: street.device.starts[-1] == NEW)
    assert street.device.starts[-1] == NEW
    street.run(TRIAL_US / 1e6 + 5)
    assert street.device.starts[-1] == VERSION
    street.link.unwrap(cut)
    street.run(300)
    [alarm] = street.host.parts(SsiTable.ALARM)
    assert alarm["CODE"] == ModuleAlarm.UPGRADE_FAILED
    assert alarm["VALUE"] == UpgradeResult.ROLLED_BACK
    version = decoded(SsiTable.MODULE_VERSION, street.ask(own_read(SsiTable.MODULE_VERSION))[0])
    assert version["FW_VERSION"] == VERSION


@pytest.mark.parametrize("disposition", [Disposition.ADVISORY, Disposition.ALARM])
@pytest.mark.parametrize("good", [True, False])
def test_what_became_of_an_upgrade_is_told_once_whichever_write_fails(
    monkeypatch: pytest.MonkeyPatch, good: bool, disposition: Disposition
) -> None:
    code = ModuleAlarm.UPGRADED if good else ModuleAlarm.UPGRADE_FAILED
    entries = [{"SOURCE": AlarmSource.MODULE, "CODE": code, "DISPOSITION": disposition}]
    for fails_in in range(1, 11):
        street = street_with_key(monkeypatch)
        street.provision(DISPOSITION={"DEFAULT": Disposition.LOG, "ENTRIES": entries})
        memory = host.failing_memory(street)
        upgrade = street.device.module.parts.upgrade
        receive(upgrade, image())
        assert upgrade.activate(image().digest, 0)
        if not good:
            memory.commit({slots.piece_name(1, 1): b"?" * 1024})
        memory.fails_in = fails_in
        with suppress(StorageError):  # the boot loader's own write may be the one
            street.run(60)
        street.device.restart(street.world.now_us)
        street.run(1200)
        told = [one for one in street.host.parts(SsiTable.ALARM) if one["CODE"] == code]
        assert len(told) == 1, f"write {fails_in}"


def host_cut(street: Street) -> Partition:
    cut = Partition()
    street.link.wrap(cut)
    return cut


def test_a_version_that_cannot_read_what_was_kept_fails_its_self_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = street_with_key(monkeypatch)
    send_all(street, image())
    street.device.nvram.commit({"module": b"unreadable"})
    street.run(60)
    assert street.device.starts[-2:] == [NEW, VERSION]
    assert street.device.module.parts.upgrade.status()["RESULT"] == UpgradeResult.SELF_TEST_FAILED


def test_keys_and_pieces_cannot_be_read_and_a_cancel_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = street_with_key(monkeypatch)
    assert street.ask(own_read(SsiTable.UPGRADE_PIECE)) == [b"\5"]
    cancel = own_write(SsiTable.COMMAND, command(Command.UPGRADE_CANCEL))
    assert street.ask(cancel) == [b"\4"]
    head = encode_request(OffsetRead(4032 + SsiTable.UPGRADE_STATUS, 0, 2))
    assert street.ask(head)[0][:1] == b"\0"


def test_the_tms_sends_an_image_to_a_list() -> None:
    fleet = Fleet(FleetSettings(2, 1, 1, faults=False), upgrade_key=PUBLIC)
    fleet.run(2 * HOUR_US)
    one = make_image(PAYLOAD * 3, MODEL, NEW, PRIVATE)
    numbers = fleet.head_end.upgrade(list(fleet.houses), one, 0, "test")
    assert len(numbers) == 2
    fleet.run(4 * HOUR_US)
    states = fleet.store.read("SELECT state, cause FROM jobs WHERE kind='upgrade'")
    assert [tuple(row) for row in states] == [("done", ""), ("done", "")]
    assert {house.device.starts[-1] for house in fleet.houses.values()} == {NEW}
    assert all(h.device.module.error is ErrorCode.NONE for h in fleet.houses.values())


# What the display shows of an image that could not be started.


def packed_wrongly() -> Image:
    """Give an image whose signature is right and whose octets do not unpack."""
    value = {**image().value, "UNPACKED_OCTETS": 5000}
    message = ssi_tables.encode(SsiTable.UPGRADE_MANIFEST, value)[: -signing.SIGNATURE_OCTETS]
    return Image(message + signing.sign(PRIVATE, message), PAYLOAD)


@pytest.mark.parametrize(
    ("one", "damage", "error", "result"),
    [
        (image(), True, ErrorCode.IMAGE_CORRUPT, UpgradeResult.IMAGE_CORRUPT),
        (packed_wrongly(), False, ErrorCode.IMAGE_NOT_UNPACKED, UpgradeResult.NOT_UNPACKED),
    ],
    ids=["error 4", "error 5"],
)
def test_errors_4_and_5_an_image_that_cannot_be_started_is_shown_until_it_was_told(
    monkeypatch: pytest.MonkeyPatch, one: Image, damage: bool, error: ErrorCode, result: int
) -> None:
    street = street_with_key(monkeypatch)
    cut = host_cut(street)
    upgrade = street.device.module.parts.upgrade
    receive(upgrade, one)
    assert upgrade.activate(one.digest, 0)
    if damage:
        street.device.nvram.commit({slots.piece_name(1, 1): b"?" * 1024})
    street.run(30)
    assert street.device.starts[-1] == VERSION and len(street.device.starts) == 2
    assert street.device.module.error is error
    street.link.unwrap(cut)
    street.run(1200)
    assert street.device.module.error is ErrorCode.NONE
    [alarm] = street.host.parts(SsiTable.ALARM)
    assert (alarm["CODE"], alarm["VALUE"]) == (ModuleAlarm.UPGRADE_FAILED, result)

"""The two slots of a gateway: whole or given up, whenever the power goes."""

import io
import py_compile
from pathlib import Path
from zipfile import ZIP_LZMA, ZipFile

import pytest

from ansi_tables.ssi_tables import GATEWAY_MODEL, UpgradeResult, UpgradeState
from smartmeter.base import signing
from smartmeter.base.errors import SettingsError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.base.wheel import wheel_identity
from smartmeter.gateway.slots import Slots, choose, give_up
from smartmeter.ssi.boot import TRIAL_STARTS, Boot, read_boot
from smartmeter.ssi.upgrade import Program, Upgrade
from smartmeter.tms.upgrades import Image, make_image, wheel_image
from smartmeter.version import VERSION
from tests.smartmeter.gateway.wheels import wheel_of

PRIVATE = bytes(range(32))
PUBLIC = signing.public_key(PRIVATE)
NEW, NEWER = "9.0.1", "9.0.2"


def wheel(version: str = NEW, name: str = "smartmeter") -> bytes:
    return wheel_of({"smartmeter/version.py": f'VERSION = "{version}"\n'.encode()}, version, name)


def machine(nvram: MemoryNvram, boot: Boot) -> Upgrade:
    return Upgrade(nvram, PUBLIC, Program(boot, GATEWAY_MODEL), 0)


def receive(nvram: MemoryNvram, slots: Slots, image: Image) -> Upgrade:
    """Bring an image into the module that runs, and begin its trial."""
    upgrade = machine(nvram, choose(nvram, slots))
    assert upgrade.offer(image.manifest), upgrade.status()
    for at in range(0, len(image.octets), 1024):
        assert upgrade.piece(at, image.octets[at : at + 1024])
    assert upgrade.activate(image.digest, 0) and upgrade.start_due(1)
    return upgrade


def recorded(record: str) -> bytes:
    """Give the wheel with another RECORD."""
    made = io.BytesIO()
    with ZipFile(io.BytesIO(wheel())) as source, ZipFile(made, "w") as target:
        for name in source.namelist():
            own = name.endswith("RECORD")
            target.writestr(name, record.encode() if own else source.read(name))
    return made.getvalue()


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "slots")


def test_the_installed_program_runs_while_no_image_was_sent(slots: Slots) -> None:
    nvram = MemoryNvram()
    assert choose(nvram, slots) == Boot() and not list(nvram.names())


def test_an_image_is_unpacked_tried_and_stays_and_the_next_goes_into_the_other_slot(
    slots: Slots,
) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    boot = choose(nvram, slots)
    assert (boot.slot, boot.version, boot.trial, boot.starts) == (1, NEW, True, 1)
    assert (slots.folder(1) / "smartmeter" / "version.py").read_text() == f'VERSION = "{NEW}"\n'
    machine(nvram, boot).reached()
    assert choose(nvram, slots) == Boot(1, NEW) and not list(nvram.names("slot"))
    receive(nvram, slots, wheel_image(wheel(NEWER), PRIVATE))
    boot = choose(nvram, slots)
    assert (boot.slot, boot.version) == (0, NEWER)
    machine(nvram, boot).trial_over(UpgradeResult.ROLLED_BACK)
    assert choose(nvram, slots) == Boot(1, NEW)


@pytest.mark.parametrize("trial", [True, False])
def test_what_a_full_disk_cut_off_of_a_compiled_file_does_not_keep_a_version_from_starting(
    slots: Slots, trial: bool
) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    boot = choose(nvram, slots)
    if not trial:
        machine(nvram, boot).reached()
    source = slots.folder(1) / "smartmeter" / "version.py"
    whole = Path(py_compile.compile(str(source), doraise=True))
    cut_off = whole.with_name("other.cpython-311.pyc")
    cut_off.write_bytes(whole.read_bytes()[:-9])
    assert choose(nvram, slots).version == NEW
    assert whole.exists() and not cut_off.exists()


def test_a_version_that_ends_before_it_reached_its_tms_is_left_after_three_starts(
    slots: Slots,
) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    versions = [choose(nvram, slots).version for _ in range(TRIAL_STARTS + 1)]
    assert versions == [NEW] * TRIAL_STARTS + [VERSION]
    assert machine(nvram, read_boot(nvram)).news is UpgradeResult.ROLLED_BACK


def test_a_version_that_hangs_is_left_at_once(slots: Slots) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    assert choose(nvram, slots).trial
    give_up(nvram)
    assert choose(nvram, slots).version == VERSION
    give_up(nvram)
    assert machine(nvram, read_boot(nvram)).news is UpgradeResult.ROLLED_BACK


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        (b"no wheel at all", UpgradeResult.NOT_UNPACKED),
        (wheel()[:-40], UpgradeResult.NOT_UNPACKED),
        (wheel("9.9.9"), UpgradeResult.SELF_TEST_FAILED),
        (wheel(name="another"), UpgradeResult.SELF_TEST_FAILED),
        (wheel_of({"../outside.py": b"x"}, NEW), UpgradeResult.NOT_UNPACKED),
        (wheel_of({"/outside.py": b"x"}, NEW), UpgradeResult.NOT_UNPACKED),
        (wheel_of({"large": bytes(9 << 20)}, NEW), UpgradeResult.NOT_UNPACKED),
        (recorded(""), UpgradeResult.IMAGE_CORRUPT),
        (recorded("\n"), UpgradeResult.IMAGE_CORRUPT),
        (recorded("smartmeter/version.py\n"), UpgradeResult.IMAGE_CORRUPT),
        (recorded("x" * 200_000 + ",,\n"), UpgradeResult.IMAGE_CORRUPT),
        (recorded("/dev/zero,sha256=x,1\n"), UpgradeResult.IMAGE_CORRUPT),
    ],
)
def test_what_is_no_wheel_of_that_version_is_left_without_a_start(
    slots: Slots, payload: bytes, result: UpgradeResult
) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, make_image(payload, GATEWAY_MODEL, NEW, PRIVATE, packed=False))
    boot = choose(nvram, slots)
    assert (boot.version, boot.trial) == (VERSION, False)
    told = machine(nvram, boot).status()
    assert (told["STATE"], told["RESULT"]) == (UpgradeState.IDLE, result)
    assert not slots.folder(1).exists() and not list(slots.folder(1).parent.parent.glob("*.py"))


@pytest.mark.parametrize("damaged", [False, True])
def test_a_wheel_that_is_packed_otherwise_than_wheels_are_is_none(
    slots: Slots, damaged: bool
) -> None:
    made = io.BytesIO()
    with ZipFile(io.BytesIO(wheel())) as source, ZipFile(made, "w", ZIP_LZMA) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        at = target.getinfo("smartmeter/version.py").header_offset + 60
    image = bytearray(made.getvalue())
    if damaged:
        image[at : at + 8] = bytes(8)
    assert slots.install(1, bytes(image), NEW) is UpgradeResult.NOT_UNPACKED
    with pytest.raises(SettingsError, match="wheel"):
        wheel_identity(bytes(image))
    assert not slots.folder(1).exists()


def test_a_power_cut_while_unpacking_is_mended_by_the_next_start(slots: Slots) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    half = slots.folder(1).with_name("1.new")
    (half / "smartmeter").mkdir(parents=True)
    (half / "smartmeter" / "version.py").write_text("torn")
    slots.folder(1).mkdir()  # of an older image that was being taken away
    assert choose(nvram, slots).version == NEW and slots.holds(1) and not half.exists()


def test_a_slot_that_is_damaged_is_given_up_for_the_installed_program_and_told(
    slots: Slots,
) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    machine(nvram, choose(nvram, slots)).reached()
    (slots.folder(1) / "smartmeter" / "version.py").write_text("VERSION =")
    boot = choose(nvram, slots)
    assert (boot.slot, boot.version) == (0, VERSION) and not slots.folder(1).exists()
    assert machine(nvram, boot).news is UpgradeResult.IMAGE_CORRUPT
    assert choose(nvram, slots) == Boot(), "it is told once"


@pytest.mark.parametrize("name", [f"smartmeter-{NEW}.dist-info/RECORD", "smartmeter/version.py"])
def test_a_slot_that_has_lost_a_file_or_its_list_of_files_is_not_whole(
    slots: Slots, name: str
) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    machine(nvram, choose(nvram, slots)).reached()
    (slots.folder(1) / name).write_text("")
    assert choose(nvram, slots).version == VERSION


def test_an_installed_program_that_is_newer_than_the_slot_runs(slots: Slots) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    machine(nvram, choose(nvram, slots)).reached()
    nvram.commit(Boot(1, "0.0.9").page())
    assert choose(nvram, slots) == Boot() and not slots.folder(1).exists()


@pytest.mark.parametrize("page", [None, b"[]"])
def test_an_image_of_which_the_memory_knows_nothing_does_not_run_as_the_installed_program(
    slots: Slots, page: bytes | None
) -> None:
    """The memory was begun anew or damaged; the image may be one that has failed its trial."""
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    machine(nvram, choose(nvram, slots)).reached()
    receive(nvram, slots, wheel_image(wheel(NEWER), PRIVATE))
    machine(nvram, choose(nvram, slots)).trial_over(UpgradeResult.ROLLED_BACK)
    assert choose(nvram, slots).slot == 1 and slots.holds(0)
    nvram = MemoryNvram()
    nvram.commit({"boot": page})
    boot = choose(nvram, slots)
    assert (boot.slot, boot.version) == (0, VERSION) and not slots.folder(0).exists()
    assert choose(nvram, slots) == boot


class PowerCut(BaseException):
    """The moment at which the board goes dark."""


def test_a_power_cut_while_the_images_are_forgotten_leaves_none_that_would_run(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone_dark(*_: object, **__: object) -> None:
        raise PowerCut

    nvram = MemoryNvram()
    for version in (NEW, NEWER):
        receive(nvram, slots, wheel_image(wheel(version), PRIVATE))
        machine(nvram, choose(nvram, slots)).reached()
    assert choose(nvram, slots) == Boot(0, NEWER) and slots.folder(0).exists()
    nvram.commit(Boot(0, "0.0.9").page())  # and the installed program is newer
    with monkeypatch.context() as patch:
        patch.setattr("smartmeter.gateway.slots.shutil.rmtree", gone_dark)
        with pytest.raises(PowerCut):
            choose(nvram, slots)
    assert choose(nvram, slots) == Boot()
    assert not slots.folder(0).exists() and not slots.folder(1).exists()


def test_images_are_gone_from_the_medium_before_the_memory_says_so(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvram = MemoryNvram()
    receive(nvram, slots, wheel_image(wheel(), PRIVATE))
    machine(nvram, choose(nvram, slots)).reached()
    nvram.commit(Boot(1, "0.0.9").page())
    found: list[tuple[bool, str]] = []
    monkeypatch.setattr(
        "os.sync", lambda: found.append((slots.folder(1).exists(), read_boot(nvram).version))
    )
    choose(nvram, slots)
    assert found == [(False, "0.0.9")]


def test_a_page_of_a_later_version_is_read(slots: Slots) -> None:
    nvram = MemoryNvram()
    page = Boot(0, VERSION).page()["boot"]
    assert page is not None
    nvram.commit({"boot": page.replace(b"{", b'{"of_tomorrow": 1, ', 1)})
    nvram.commit({"upgrade": b'{"state": 0, "of_tomorrow": []}'})
    assert machine(nvram, choose(nvram, slots)).status()["RUNNING_VERSION"] == VERSION

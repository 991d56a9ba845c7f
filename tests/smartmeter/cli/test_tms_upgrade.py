"""``tms upgrade``: keys and images are made once and well; what is wrong is said in a line."""

import json
import resource
import sys
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner

from ansi_tables.ssi_layouts import MAX_IMAGE_OCTETS
from ansi_tables.ssi_tables import GATEWAY_MODEL
from smartmeter.base import signing
from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.cli.tms import command
from smartmeter.cli.tms_client import TmsClient
from smartmeter.tms.upgrades import MANIFEST_OCTETS, make_image, read_image
from tests.smartmeter.gateway.wheels import wheel_of


def run(*arguments: str) -> str:
    """Run a verb; its errors come as they are raised."""
    done = CliRunner().invoke(command, ["upgrade", *arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output


def made_key(tmp_path: Path) -> Path:
    run("key", str(tmp_path / "key"))
    return tmp_path / "key"


def test_a_key_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    key = made_key(tmp_path)
    assert key.stat().st_mode & 0o777 == 0o600
    private, public = bytes.fromhex(key.read_text()), bytes.fromhex(Path(f"{key}.pub").read_text())
    assert signing.public_key(private) == public
    with pytest.raises(SettingsError, match="is there already"):
        run("key", str(key))


def test_a_key_whose_making_was_cut_off_gets_its_public_half(tmp_path: Path) -> None:
    key = made_key(tmp_path)
    public = Path(f"{key}.pub").read_text()
    Path(f"{key}.pub").unlink()
    assert "of the key in" in run("key", str(key))
    assert Path(f"{key}.pub").read_text() == public
    other = tmp_path / "other"
    other.write_text("no key")
    with pytest.raises(SettingsError, match="is no key"):
        run("key", str(other))
    assert not Path(f"{other}.pub").exists()


def test_a_full_disk_leaves_no_half_of_a_key_that_would_be_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Compiled files would be cut off, too, and stay for others.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(SettingsError, match="choose another name"):
            made_key(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    assert made_key(tmp_path).stat().st_size == 65


def test_a_wheel_becomes_an_image_for_gateways_with_its_own_version(tmp_path: Path) -> None:
    key, wheel, image = made_key(tmp_path), tmp_path / "a.whl", tmp_path / "a.image"
    wheel.write_bytes(wheel_of({"smartmeter/__init__.py": b""}, "1.2.3"))
    told = run("image", str(wheel), "--key", str(key), "--out", str(image))
    assert f"{GATEWAY_MODEL} 1.2.3" in told
    found = read_image(image.read_bytes(), "image")
    assert (found.value["MODEL"], found.value["VERSION"]) == (GATEWAY_MODEL, "1.2.3")
    assert found.octets == wheel.read_bytes()


def test_what_cannot_become_an_image_is_named(tmp_path: Path) -> None:
    key, wheel, out = made_key(tmp_path), tmp_path / "a.whl", str(tmp_path / "out")
    for payload, fault in (
        (b"no wheel", "not a zip file"),
        (wheel_of({}, "1.0", name="another"), "is of another"),
        (wheel_of({}, "1.0")[:-30], "not a zip file"),
    ):
        wheel.write_bytes(payload)
        with pytest.raises(SettingsError, match=f"a.whl: .*{fault}"):
            run("image", str(wheel), "--key", str(key), "--out", out)
    with pytest.raises(SettingsError, match="is no key"):
        run("image", str(wheel), "--key", str(wheel), "--out", out)
    with pytest.raises(SettingsError, match="octets; 1 to"):
        make_image(bytes(MAX_IMAGE_OCTETS + 1), "M", "1", bytes(32), packed=False)
    for model, version in (("M" * 17, "1"), ("M", "1" * 17), ("", "1")):
        with pytest.raises(SettingsError, match="16 octets fit"):
            make_image(b"payload", model, version, bytes(32))
    assert not Path(out).exists()


def test_an_image_that_is_cut_off_or_changed_is_no_image() -> None:
    octets = make_image(b"payload", "M", "1", bytes(32)).file()
    for wrong in (b"", b"x", octets[:20], octets[: MANIFEST_OCTETS + 6], octets[:-1]):
        with pytest.raises(SettingsError):
            read_image(wrong, "image")
    for place in range(len(octets) - 5, len(octets)):
        changed = octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]
        with pytest.raises(SettingsError, match="cut off or changed"):
            read_image(changed, "image")


def test_a_sender_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTMETER_TMS_PASSWORD", "a password")
    image = tmp_path / "image"
    image.write_bytes(make_image(b"payload", "M", "1", bytes(32)).file())
    with pytest.raises(SettingsError, match="is no time"):
        run("send", str(image), "SM1", "--at", "tomorrow")
    with pytest.raises(SettingsError, match="1970 to 2106"):
        run("send", str(image), "SM1", "--at", "2200-01-01")
    with pytest.raises(SettingsError, match="is no address"):
        run("send", str(image), "SM1", "--url", "nowhere")
    with pytest.raises(SmartMeterError, match="is the TMS running there"):
        run("send", str(image), "SM1", "--url", "http://127.0.0.1:1")


def test_a_sender_says_where_an_upgrade_waits_and_how_to_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for days for a SmartMeter that is not there."""
    monkeypatch.setenv("SMARTMETER_TMS_PASSWORD", "a password")
    image = tmp_path / "a.image"
    image.write_bytes(b"an image")
    begun = {"version": "2.0", "jobs": {}, "busy": ["SM1"]}
    monkeypatch.setattr(TmsClient, "_ask", lambda *_asked: json.dumps(begun).encode())
    with pytest.raises(ClickException, match=r"SM1; .*tms cancel --kind upgrade ESN"):
        run("send", str(image), "SM1")


def test_a_version_that_is_meant_for_the_terminal_does_not_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMARTMETER_TMS_PASSWORD", "a password")
    module = {"running_version": "\x1b]0;mine\x07", "state": "idle", "last_result": "none"}
    told = {"esn": "SM1", "image": "2.0", "state": "done", "cause": "", "module": module}
    answer = json.dumps({"upgrades": [told]}).encode()
    monkeypatch.setattr(TmsClient, "_ask", lambda *_asked: answer)
    assert run("status").endswith("2.0: done; runs \\x1b]0;mine\\x07, idle\n")

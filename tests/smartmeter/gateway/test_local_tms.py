"""The TMS inside a gateway: what it keeps."""

import asyncio
import gc
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.base.clock import US_PER_S, Calendar, monotonic_us
from smartmeter.cli import group
from smartmeter.cli.state_folder import claim
from smartmeter.gateway.local_tms import LocalTms
from smartmeter.gateway.service import Gateway
from smartmeter.gateway.settings import read_settings
from smartmeter.tms.store.sqlite import Store
from tests.smartmeter.cli.served import smartmeter
from tests.smartmeter.gateway.settings_file import WORKS, settings_file

NOW_S, DAY_S = 1_767_225_600, 86_400
REPORT = "INSERT INTO reports VALUES (?,1,?,2,1,?,?,1,1,?,'')"


def arrivals(data: Path, now_s: int, keep_days: int | None, left: int) -> list[int]:
    """Run the TMS until so many reports are left; give the days before NOW_S that they came."""
    local = LocalTms(data / "tms", [], print, keep_days)
    sql = "SELECT (?-received_s)/86400 FROM reports ORDER BY received_s"

    async def run() -> list[int]:
        await local.start(Calendar(now_s * US_PER_S, 1, monotonic_us()))
        server = local.server
        assert server is not None and not local.damaged
        try:
            while True:
                await asyncio.sleep(0.02)
                found = [row[0] for row in server.store.read(sql, NOW_S)]
                if len(found) <= left:
                    return found
        finally:
            await local.stop()

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_it_drops_what_is_old_and_under_a_wrong_clock_no_more_than_a_day(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms" / "tms.sqlite3")
    for number, days in enumerate((500, 499, 450, 3)):
        at_s = NOW_S - days * DAY_S - 60
        store.write_now(lambda c, row=("SM1", number, at_s, at_s, at_s): c.execute(REPORT, row))
    store.close()
    assert arrivals(tmp_path, NOW_S, None, 4) == [500, 499, 450, 3]
    assert arrivals(tmp_path, NOW_S + 36_525 * DAY_S, 400, 3) == [499, 450, 3]
    assert arrivals(tmp_path, NOW_S, 470, 2) == [450, 3]


def test_a_tms_elsewhere_that_is_not_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("00" * 16)
    file = tmp_path / "g.toml"
    file.write_text(
        f'[gateway]\ndata = "{tmp_path}"\n[module]\nesn = "SM1"\nkey_file = "{tmp_path}/key"\n'
        '[meter]\nport = "/dev/none"\n[[tms]]\naddress = "tcp:127.0.0.1:1"\n'
    )

    async def ends(
        settings: object, rate: object, note: object, ready: Callable[[], None], *more: object
    ) -> bool:
        ready()
        return False

    monkeypatch.setattr("smartmeter.gateway.service.run_gateway", ends)
    monkeypatch.setattr("smartmeter.gateway.beginning.leave_tls_out", lambda: None)
    run = ("gateway", "run", "--settings", str(file))
    told = "[[tms]] of the settings is not used"
    assert told not in CliRunner().invoke(group, run).output
    assert told in CliRunner().invoke(group, (*run, "--with-tms", "127.0.0.1:0")).output


def test_it_does_not_share_its_folder_with_a_head_end(tmp_path: Path) -> None:
    path = settings_file(tmp_path, WORKS)
    claim(tmp_path / "tms")
    done = smartmeter("gateway", "run", "--settings", str(path), timeout=60)
    assert done.returncode == 1
    assert done.stderr == (
        f"smartmeter: {tmp_path}/tms: another process keeps its state there;"
        " stop it, or give another folder\n"
    )
    assert not (tmp_path / "readings.sqlite3").exists(), "nothing has begun"


async def test_a_page_whose_framework_is_missing_is_one_error_and_nothing_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    gc.collect()  # what tests before have left is not of this one
    recwarn.clear()
    monkeypatch.setitem(sys.modules, "smartmeter.gateway.local_page", None)
    settings = read_settings(settings_file(tmp_path, WORKS), {})
    gateway = Gateway(settings, Fraction(1), print, ("127.0.0.1", 0))
    with pytest.raises(ModuleNotFoundError):
        await gateway.run()
    gateway._readings.close()
    del gateway
    gc.collect()
    assert not recwarn.list and not settings.socket.exists()

"""The unit of docs/head_end.rst: systemd takes it, and its command line is one."""

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
PAGE = Path(__file__).parents[3] / "docs" / "head_end.rst"


@pytest.mark.skipif(not SYSTEMD_ANALYZE, reason="needs the Debian package systemd")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = dedent("    [Unit]" + PAGE.read_text().partition("\n    [Unit]")[2])
    text = text[: text.index("multi-user.target")] + "multi-user.target\n"
    assert "/opt/smartmeter/bin/smartmeter tms run --data" in text
    unit = tmp_path / "smartmeter-tms.service"
    unit.write_text(text.replace("/opt/smartmeter/bin/smartmeter", f'"{sys.executable}"'))
    done = subprocess.run(
        [SYSTEMD_ANALYZE or "", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr

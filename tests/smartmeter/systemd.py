"""What systemd itself says of a unit of ours."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ANALYZE = shutil.which("systemd-analyze")
NEEDS_SYSTEMD = pytest.mark.skipif(not _ANALYZE, reason="needs the Debian package systemd")


def check_unit(name: str, text: str, folder: Path) -> None:
    """See that systemd takes the unit, and complains of nothing in it."""
    unit = folder / name
    unit.write_text(text.replace("/opt/smartmeter/bin/smartmeter", f'"{sys.executable}"'))
    done = subprocess.run(
        [_ANALYZE or "", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    assert done.returncode == 0 and name not in done.stderr, done.stderr

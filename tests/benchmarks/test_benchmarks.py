"""The benchmarks run; the one in virtual time meets its limits whatever the machine."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_exceptions_are_durable_in_near_real_time_within_the_duty() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/near_real_time.py", "--changes", "30", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["changes"] == 30

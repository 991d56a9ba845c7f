"""The Makefile's environment, with stand-ins for Python: nothing is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: ``-m venv FOLDER`` makes a folder whose Python knows pip.
PYTHON = """#!/bin/sh
mkdir -p "$3/bin"
printf '#!/bin/sh\\nexit 0\\n' > "$3/bin/python"
chmod +x "$3/bin/python"
"""


@pytest.mark.parametrize("stamp", [".demo", ".test"])
def test_an_environment_that_was_left_without_pip_is_made_whole(tmp_path: Path, stamp: str) -> None:
    folder = tmp_path / "a clone with ümlaut"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    half, whole = folder / ".venv/bin/python", tmp_path / "python"
    half.write_text("#!/bin/sh\nexit 1\n")
    whole.write_text(PYTHON)
    half.chmod(0o755)
    whole.chmod(0o755)
    done = subprocess.run(
        ["make", f".venv/{stamp}", "VENV=.venv", f"PYTHON={whole}"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / ".venv" / stamp).exists()

"""``smartmeter tms run``: what it refuses, in one line with the place."""

from pathlib import Path

from smartmeter.cli.state_folder import claim
from tests.smartmeter.cli.served import smartmeter


def test_two_head_ends_do_not_share_a_folder(tmp_path: Path) -> None:
    claim(tmp_path)
    run = ("tms", "run", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--web", "off")
    done = smartmeter(*run, timeout=30)
    assert done.returncode == 1
    assert done.stderr == (
        f"smartmeter: {tmp_path}: another process keeps its state there;"
        " stop it, or give another folder\n"
    )
    assert not list(tmp_path.iterdir()), "nothing was written"

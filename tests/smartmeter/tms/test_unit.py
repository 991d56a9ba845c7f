"""The unit of docs/head_end.rst: systemd takes it."""

from pathlib import Path
from textwrap import dedent

from tests.smartmeter.systemd import NEEDS_SYSTEMD, check_unit

PAGE = Path(__file__).parents[3] / "docs" / "head_end.rst"


@NEEDS_SYSTEMD
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = dedent("    [Unit]" + PAGE.read_text().partition("\n    [Unit]")[2])
    text = text[: text.index("multi-user.target")] + "multi-user.target\n"
    assert "/opt/smartmeter/bin/smartmeter tms run --data" in text
    check_unit("smartmeter-tms.service", text, tmp_path)

"""The site builds without a warning, its code runs, and it has a page for every table."""

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

from ansi_tables import all_definitions
from tests.docs.pages import PAGES, ROOT
from tests.smartmeter.tms.web.browser import CHROMIUM, DRIVER, FLAGS, needs_browser

WITH_CODE = (
    "c1219/tour",
    "c1219/own_tables",
    "c1219/parts",
    "c1222_from_python",
    "from_python",
    "own_transport",
)


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_gives_what_the_page_says(page: str) -> None:
    """In a process of its own, since a page may register tables."""
    path = ROOT / "docs" / f"{page}.rst"
    assert len(doctest.DocTestParser().get_examples(path.read_text(encoding="utf-8"))) > 5
    done = subprocess.run(
        [sys.executable, "-m", "doctest", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_of_a_page_print_what_the_page_says() -> None:
    text = (ROOT / "docs" / "c1219" / "command_line.rst").read_text(encoding="utf-8")
    shown = re.findall(r"^   \$ smartmeter (.*)\n((?:   .*\n)*)", text, re.MULTILINE)
    assert len(shown) > 3
    for command, expected in shown:
        done = subprocess.run(
            [sys.executable, "-m", "smartmeter", *command.split()],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        printed = [line.rstrip() for line in (done.stdout + done.stderr).splitlines()]
        assert printed == [line[3:] for line in expected.splitlines()], command


def test_the_site_builds_without_a_warning_and_has_a_page_for_every_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "docs", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.stem: path for path in (tmp_path / "c1219" / "tables").glob("st_*.html")}
    known = [one for one in all_definitions() if one.number < 2048]
    assert set(pages) == {f"st_{one.number:03d}" for one in known}
    for one in known:
        assert one.name in pages[f"st_{one.number:03d}"].read_text(encoding="utf-8")
    registers = pages["st_023"].read_text(encoding="utf-8")
    assert "ST-21.REG_FUNC1_FLAGS.DEMAND_RESET_CTR_FLAG" in registers
    for page in ("index", "measurements", "c1219/tour", "c1219/meaning", "c1219/trust"):
        assert (tmp_path / f"{page}.html").exists()
    trust = (tmp_path / "c1219" / "trust.html").read_text(encoding="utf-8")
    assert "TDL and EDL" in trust and "is not" in trust


@contextmanager
def _browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@needs_browser
def test_no_page_is_wider_than_a_small_screen(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "docs", str(tmp_path / "site")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    pages = list((tmp_path / "site").rglob("*.html"))
    with _browser(tmp_path) as driver:
        size = {"width": 320, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wide = {}
        for page in pages:
            driver.get(page.as_uri())
            wide[page.name] = driver.execute_script("return document.documentElement.scrollWidth")
    assert {page: width for page, width in wide.items() if width > 320} == {}


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_dark_where_the_system_asks_for_it(scheme: str, tmp_path: Path) -> None:
    page, style = tmp_path / "page.html", ROOT / "docs" / "_static" / "smartmeter.css"
    page.write_text(f'<link rel="stylesheet" href="{style.as_uri()}"><body>A word</body>')
    with _browser(tmp_path) as driver:
        wish = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})
        driver.get(page.as_uri())
        shown = driver.execute_script("return getComputedStyle(document.documentElement).filter")
    assert shown.startswith("invert") is (scheme == "dark"), shown


def test_the_text_comes_first_wherever_the_theme_has_one_column() -> None:
    settings = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    style = (ROOT / "docs" / "_static" / "smartmeter.css").read_text(encoding="utf-8")
    width = re.search(r'"page_width": "(\w+)"', settings)
    assert width and re.search(rf"max-width: {width[1]}\) {{\s+div\.document", style)


@pytest.mark.parametrize("name", ["README.rst", "CHANGES.rst"])
def test_a_page_outside_the_site_is_read_without_a_warning(name: str) -> None:
    command = [sys.executable, "-m", "docutils", "--report=2", "--halt=2", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_tests_that_a_page_names_are_there(page: Path) -> None:
    literals = re.findall(r"``([^`]+)``", page.read_text(encoding="utf-8"))
    folders = r"\b(?:tests|docs|smartmeter|protocols|ansi_tables|examples|benchmarks)/[\w./-]+"
    for path in re.findall(folders, " ".join(literals)):
        assert (ROOT / path).exists(), path
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    for name in re.findall(r"\btest_\w+(?!\.py|\w)", " ".join(literals)):
        assert any(name in text for text in tests), name

"""The sources keep the rules of the house: sizes, docstrings, banned calls, layers, imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ansi_tables", "protocols", "smartmeter")
SOURCES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
ALL_SOURCES = (
    SOURCES + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "examples").glob("*.py"))
)

#: Where I/O may live, and the clock's two functions for the hosts.
MAY_TOUCH_THE_WORLD = (
    "protocols/transports/",
    "smartmeter/gateway/",
    "smartmeter/comms/tcp.py",
    "smartmeter/comms/udp.py",
    "smartmeter/comms/listening.py",
    "smartmeter/comms/sockets.py",
    "smartmeter/comms/datagrams.py",
    "smartmeter/comms/caller.py",
    "smartmeter/comms/machine_line.py",
    "smartmeter/comms/task_connection.py",
    "smartmeter/comms/sms.py",
    "smartmeter/comms/carrier.py",
    "smartmeter/comms/mqtt.py",
    "smartmeter/comms/mqtt_carrier.py",
    "smartmeter/comms/listener.py",
    "smartmeter/comms/paths.py",
    "smartmeter/comms/tls_door.py",
    "smartmeter/comms/tls_renewal.py",
    "smartmeter/comms/metrics.py",
    "smartmeter/comms/event_loop.py",
    "smartmeter/comms/node.py",
    "smartmeter/comms/registrations.py",
    "smartmeter/comms/relay_host.py",
    "smartmeter/comms/way_finder.py",
    "smartmeter/simulation/street.py",
    "smartmeter/simulation/demo.py",
    "smartmeter/simulation/served_fleet.py",
    "smartmeter/tms/server.py",
    "smartmeter/tms/poller.py",
    "smartmeter/tms/store/sqlite.py",
    "smartmeter/tms/users.py",
    "smartmeter/tms/api/",
    "smartmeter/tms/web/",
    "smartmeter/cli/",
    "smartmeter/conformance/plugin.py",
    "smartmeter/base/clock.py",
    "smartmeter/base/file.py",
)
BANNED_MODULES = {"time", "random", "secrets", "socket", "select", "threading", "asyncio", "os"}
#: A seeded generator is a value; the module's own global one is chance.
ALLOWED_NAMES = {("random", "Random"), ("os", "PathLike")}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", ALL_SOURCES, ids=_name)
def test_a_file_and_its_functions_keep_their_size(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 600, "look for the second subject"
    for node in _functions(ast.parse(text)):
        size = (node.end_lineno or node.lineno) - node.lineno + 1
        assert size <= 70, f"{node.name} has {size} lines"


def _maps() -> list[Path]:
    return [p for p in SOURCES if p.name == "__init__.py" and "in reading order" in p.read_text()]


@pytest.mark.parametrize("path", _maps(), ids=_name)
def test_a_map_of_a_package_names_each_of_its_files_and_no_other(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    names = {p.stem for p in path.parent.glob("*.py") if p != path}
    named = set(re.findall(r"``(\w+)``", text))
    assert names <= named, f"say in {_name(path)} what these are for: {sorted(names - named)}"
    packages = {p.parent.name for p in path.parent.glob("*/__init__.py")}
    assert named <= names | packages, f"not there: {sorted(named - names - packages)}"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name != "__init__.py"], ids=_name)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module"
    for node in tree.body:
        public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if public and not node.name.startswith("_"):  # type: ignore[attr-defined]
            assert ast.get_docstring(node), node.name  # type: ignore[attr-defined,arg-type]


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_only_the_shells_touch_the_world(path: Path) -> None:
    if _name(path).startswith(MAY_TOUCH_THE_WORLD):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            used = {alias.name.split(".")[0] for alias in node.names} & BANNED_MODULES
            assert not used, f"line {node.lineno}: pass {used} in from the host"
        elif isinstance(node, ast.ImportFrom) and node.module in BANNED_MODULES:
            for alias in node.names:
                assert (node.module, alias.name) in ALLOWED_NAMES, f"line {node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_date_is_made_by_the_system_whose_times_may_end_in_2038(path: Path) -> None:
    banned = {"fromtimestamp", "utcfromtimestamp", "gmtime", "localtime", "mktime"}
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.attr] if isinstance(node, ast.Attribute) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        wrong = banned.intersection(names)
        assert not wrong, f"line {getattr(node, 'lineno', 0)}: smartmeter.base.clock.utc_moment"


@pytest.mark.parametrize("path", ALL_SOURCES, ids=_name)
def test_nothing_is_unfinished(path: Path) -> None:
    words = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        assert not any(word in line for word in words), f"line {number}: {line.strip()}"


def test_what_tests_share_stands_in_no_test_module() -> None:
    shared = re.compile(r"^\s*from tests[\w.]*\.test_\w+ import", re.MULTILINE)
    tests = (ROOT / "tests").rglob("*.py")
    assert [_name(p) for p in tests if shared.search(p.read_text())] == [], "move it to its own"


def test_the_map_of_the_tms_has_every_file() -> None:
    folder = ROOT / "smartmeter" / "tms"
    named = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert [p.stem for p in folder.glob("[!_]*.py") if f"``{p.stem}``" not in named] == []


def test_no_file_is_a_drawer_for_what_fits_nowhere() -> None:
    banned = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not [p for p in SOURCES if p.name in banned]


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tables_need_construct_only() -> None:
    loaded = _run(
        "import sys, ansi_tables; print(*[m for m in ('crcmod','serial','click','rich',"
        "'cryptography','nicegui','numpy','smartmeter','protocols') if m in sys.modules])"
    )
    assert loaded.split() == []


def test_the_core_imports_without_modules_that_only_unix_has() -> None:
    _run(
        "import sys\n"
        "for name in ('termios', 'fcntl', 'pty', 'tty'): sys.modules[name] = None\n"
        "import ansi_tables, protocols.c1218.client, protocols.c1218.server\n"
        "import protocols.transports.pump, protocols.transports.serving\n"
        "import smartmeter.meter.meter, smartmeter.cli.read, smartmeter.cli.decode\n"
    )


def test_the_version_loads_nothing_heavy() -> None:
    loaded = _run(
        "import sys\nsys.argv = ['smartmeter', '--version']\n"
        "from smartmeter.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('construct','cryptography','nicegui','rich','asyncio') "
        "if m in sys.modules])"
    )
    assert loaded.splitlines()[-1] == "[]", loaded


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=_name)
def test_an_example_is_short_and_runs(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 60
    done = subprocess.run(
        [sys.executable, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout

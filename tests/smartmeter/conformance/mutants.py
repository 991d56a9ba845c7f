"""Mutants of our own device, made by a program: does the bench catch a wrong device?

A mutant is one change of one source file of the device: a row of the session table that is
missing, leads elsewhere or should not be; a condition turned round; a comparison moved by
one; a response code exchanged; a statement left out; a number one higher.  Only lines that
the device runs in a whole bench are changed: what is the client's in shared files is left
alone.  Mutants live in copies of the modules; what the bench itself uses stays as it is.
"""

import ast
import importlib
import importlib.abc
import importlib.util
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from protocols.c1218.device import ServerOptions
from protocols.c1218.session import LEGAL, State
from protocols.psem import services
from smartmeter.conformance.bench import Bench, Permit, Profile
from smartmeter.conformance.line import SimulatedLine
from smartmeter.conformance.runner import Plan, plan, run_check
from smartmeter.conformance.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[3]
#: What makes up the device: the files that are changed, and all that must be loaded anew.
CHANGED = (
    "protocols.datalink.packet",
    "protocols.datalink.parser",
    "protocols.datalink.copies",
    "protocols.datalink.outgoing",
    "protocols.datalink.assembly",
    "protocols.datalink.link",
    "protocols.psem.codec",
    "protocols.c1218.server",
    "smartmeter.meter.optical_port",
)
RELOADED = ("protocols.datalink", "protocols.psem", "protocols.c1218", "smartmeter.meter")
SESSION = "protocols.c1218.session"
#: Words of lines in shared files that are there for a client, guard against its caller, or
#: tell apart what gets one and the same answer: quirks of the other end, echoes, wake-up,
#: checksums in the other order, messages too long to send, the three kinds of damage, whom a
#: packet on a shared telephone line is for, and where a host is that takes its time: the
#: bench's line takes at once what is to be written.
CLIENTS = re.compile(
    r"quirk|echo|_wake|_naks|noise|swap|checksums|_note_|LocalProtocolError|max_message|PacketDamaged"
    r"|Signal\.CUT|_flush_from_us is not None|_last_sent|want >> 8 and|_current is not None\s*$"
    r"|MAX_SEND_DATA|self\.busy|super\(\)|note_toggle|BLOCK_OCTETS|nak_incomplete|_copy_"
    r"|_is_for_us|self\.identity = self\._buffer|self\.accepts|self\._copy\b",
    re.IGNORECASE,
)
CLIENTS_FUNCTIONS = {
    "answered_at_once",
    "delivered",
    "doubt",
    "message_begins",
    "note_toggle",
    "sent_again",
    "_note_size",
    "_note_wake_up",
    "_is_new_after_all",
}
#: A mutant that takes longer hangs, in the processor's time; a whole bench takes one second.
HANGS_AFTER_S = 6
#: Devices with all there is, with reads by offset only, and one whose log monitors accesses.
KINDS = ("residential", "industrial", "residential-tou")


@dataclass(frozen=True)
class Mutant:
    """One wrong device: where, what was changed, and the source of the changed module."""

    name: str
    module: str
    source: str


def source_of(module: str) -> str:
    return (ROOT / f"{module.replace('.', '/')}.py").read_text()


# Rows of the session table.


def session_rows() -> Iterator[Mutant]:
    """Give each row of the table missing and leading elsewhere, and each row that is not there."""
    source = source_of(SESSION)
    kinds = sorted({kind.__name__ for _, kind in LEGAL})
    for state in State:
        for kind in kinds:
            row = f"(State.{state.name}, {kind})"
            following = LEGAL.get((state, getattr(services, kind)))
            if following is None:
                yield _row(
                    source, f"{row} is served", f"LEGAL = {{**LEGAL, {row}: State.{state.name}}}"
                )
                continue
            yield _row(
                source,
                f"{row} is missing",
                f"LEGAL = {{k: v for k, v in LEGAL.items() if k != {row}}}",
            )
            for other in State:
                if other is not following:
                    change = f"LEGAL = {{**LEGAL, {row}: State.{other.name}}}"
                    yield _row(source, f"{row} leads to {other.value}", change)


def _row(source: str, what: str, change: str) -> Mutant:
    return Mutant(f"session: {what}", SESSION, f"{source}\n{change}\n")


# Changes of code.

_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
#: Each code is exchanged for one that means something else to a client.
_OTHER_CODE = {"ok": "err", "err": "ok", "sns": "err", "isss": "ok", "onp": "ok", "iar": "isc"}
_OTHER_CODE |= {"isc": "iar", "bsy": "ok"}


@dataclass
class _Change:
    """One change of a tree, made and taken back."""

    what: str
    line: int
    holder: Any
    field: str
    index: int | None
    new: Any

    def source(self, tree: ast.AST) -> str:
        """Give the source with the change, and take it back."""
        old = self._swap(self.new)
        try:
            return ast.unparse(ast.fix_missing_locations(tree))
        finally:
            self._swap(old)

    def _swap(self, value: Any) -> Any:
        if self.index is None:
            old = getattr(self.holder, self.field)
            setattr(self.holder, self.field, value)
            return old
        items = getattr(self.holder, self.field)
        old, items[self.index] = items[self.index], value
        return old


def code_changes(module: str, lines: set[int]) -> Iterator[Mutant]:
    """Give every change of the lines that the device runs."""
    tree = ast.parse(source_of(module))
    short = module.rsplit(".", 1)[-1]
    seen: set[str] = set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or function.name in CLIENTS_FUNCTIONS:
            continue
        for statement in ast.walk(function):
            if not isinstance(statement, ast.stmt) or isinstance(statement, ast.FunctionDef):
                continue
            text = _head(statement)
            for node in _own_nodes(statement):
                for change in _changes(node):
                    if change.line not in lines or CLIENTS.search(f"{change.what} {text}"):
                        continue
                    source = change.source(tree)
                    if source not in seen:
                        seen.add(source)
                        yield Mutant(f"{short}.{function.name}: {change.what}", module, source)


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Give a statement and its expressions, without the statements inside it."""
    yield statement
    todo = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
    while todo:
        node = todo.pop()
        yield node
        todo += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]


def _head(statement: ast.stmt) -> str:
    """Give a statement's own text: of a compound one, what it is about, and a lone raise in it."""
    if isinstance(statement, ast.If | ast.While):
        first = ast.unparse(statement.body[0]) if isinstance(statement.body[0], ast.Raise) else ""
        return f"{ast.unparse(statement.test)} {first}"
    if isinstance(statement, ast.Match):
        return ast.unparse(statement.subject)
    if isinstance(statement, ast.For | ast.Try | ast.With):
        return ""
    return ast.unparse(statement)


def _changes(node: ast.AST) -> Iterator[_Change]:
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        new = ast.UnaryOp(ast.Not(), node.test)
        yield _Change(f"not ({_short(node.test)})", line, node, "test", None, new)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _FLIPPED and not _is_instant(node):
        flipped = _FLIPPED[type(node.ops[0])]()
        what = f"{_short(node)} with {type(flipped).__name__}"
        yield _Change(what, line, node, "ops", 0, flipped)
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _Change(f"{_short(node)} with {type(other).__name__}", line, node, "op", None, other)
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ResponseCode":
        code = _OTHER_CODE.get(node.attr)
        if code is not None:
            yield _Change(f"ResponseCode.{node.attr} is {code}", line, node, "attr", None, code)
    for field, items in ast.iter_fields(node):
        if field in ("body", "orelse") and isinstance(items, list):
            for index, item in enumerate(items):
                if _may_go(item):
                    new = ast.copy_location(ast.Pass(), item)
                    yield _Change(f"without {_short(item)}", item.lineno, node, field, index, new)


def _is_instant(node: ast.Compare) -> bool:
    """Tell whether two instants are compared: a microsecond more or less is no other device."""
    ordered = isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    return ordered and "_us" in ast.unparse(node)


def _may_go(item: Any) -> bool:
    """Tell whether a statement can be left out and leave a program."""
    if isinstance(item, ast.Expr):
        return isinstance(item.value, ast.Call)
    if isinstance(item, ast.Assign):
        return isinstance(item.targets[0], ast.Attribute | ast.Tuple)
    return isinstance(item, ast.AugAssign | ast.Raise)


def _short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:80]


# Loading and judging.


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from the mutant's source; all others come as usual."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._mutant.module:
            return None
        return importlib.util.spec_from_loader(name, self)

    def exec_module(self, module: Any) -> None:
        code: CodeType = compile(self._mutant.source, f"<{self._mutant.name}>", "exec")
        exec(code, module.__dict__)


@contextmanager
def loaded(mutant: Mutant | None) -> Iterator[Any]:
    """Give the tests' meter, built of modules of its own, one of them the mutant's."""
    names = [n for n in sys.modules if n.startswith(RELOADED)]
    names += [n for n in sys.modules if n == "tests.smartmeter.meter.sessions"]
    kept = {name: sys.modules.pop(name) for name in names}
    finder = _Finder(mutant) if mutant is not None else None
    if finder is not None:
        sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module("smartmeter.meter.meter")
    finally:
        if finder is not None:
            sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.startswith(RELOADED)]:
            del sys.modules[name]
        sys.modules.update(kept)


def bench_on(mutant: Mutant | None, kind: str, pages: dict[str, bytes]) -> Bench:
    """Give a bench on a device of a profile, with a memory of its own."""
    from smartmeter.base.clock import Calendar
    from smartmeter.base.nvram import MemoryNvram
    from tests.smartmeter.meter.sessions import NOON_UTC_US

    with loaded(mutant) as module:
        profile = importlib.import_module("smartmeter.meter.profiles").profile_named(kind)
        settings = module.MeterSettings(profile=profile)
        meter = module.Meter(settings, MemoryNvram(pages), Calendar(NOON_UTC_US, 1), 0)
    bench = Bench.on(SimulatedLine(meter))
    bench.reader, bench.master, bench.permits = b"reader", b"master", frozenset(Permit)
    bench.profile = Profile(bauds=ServerOptions().bauds)
    bench.tries = bench.failures = 1
    return bench


@dataclass(frozen=True)
class Subject:
    """A kind of device, what it remembers, and the checks that it passes unmutated."""

    kind: str
    pages: dict[str, bytes]
    passes: Plan


class Hangs(Exception):
    """A mutant that does not come back."""


@contextmanager
def hanging_ends() -> Iterator[None]:
    """Raise Hangs in a body that takes too long."""

    def hang(number: int, frame: FrameType | None) -> None:
        raise Hangs

    before = signal.signal(signal.SIGVTALRM, hang)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def catches(mutant: Mutant, subject: Subject) -> Iterator[str]:
    """Give each check that catches a mutant, and how it breaks down, if it does."""
    try:
        with hanging_ends():
            bench = bench_on(mutant, subject.kind, subject.pages)
            for each in subject.passes.checks:
                if run_check(bench, each, subject.passes).verdict.failed:
                    yield each.name
    except Hangs:
        yield "it hangs"
    except Exception as error:  # a device that breaks down is caught as well
        yield f"it breaks down: {type(error).__name__}"


def caught_by(mutant: Mutant, subjects: Sequence[Subject]) -> str | None:
    """Give the first check that catches a mutant, or None: it survives."""
    return next((check for subject in subjects for check in catches(mutant, subject)), None)


def all_subjects(pages: dict[str, bytes]) -> list[Subject]:
    """Give the devices that are mutated; ``pages`` is what the first one remembers."""
    return [
        Subject(kind, memory, passing_plan(kind, memory))
        for kind, memory in zip(KINDS, (pages, {}, {}), strict=True)
    ]


def passing_plan(kind: str, pages: dict[str, bytes]) -> Plan:
    """Give the checks that our unmutated device passes, the shortest first."""
    chosen = plan(frozenset(Permit))
    bench = bench_on(None, kind, pages)
    good = [
        each for each in chosen.checks if run_check(bench, each, chosen).verdict is Verdict.PASSED
    ]
    good.sort(key=lambda each: each.seconds)
    return replace(chosen, checks=tuple(good))


def lines_run(pages: dict[str, bytes]) -> dict[str, set[int]]:
    """Give the lines of the device's files that a whole bench makes it run, by module."""
    files = {str(ROOT / f"{module.replace('.', '/')}.py"): module for module in CHANGED}
    found: dict[str, set[int]] = {module: set() for module in CHANGED}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        module = files.get(frame.f_code.co_filename)
        if module is None:
            return None
        lines = found[module]

        def local(inner: FrameType, what: str, value: object) -> Any:
            lines.add(inner.f_lineno)
            return local

        lines.add(frame.f_lineno)
        return local

    bench = bench_on(None, KINDS[0], pages)
    meter = bench.tester.line._machine  # type: ignore[attr-defined]
    chosen = plan(frozenset(Permit))
    bench.tester.line._machine = _Traced(meter, trace)  # type: ignore[attr-defined]
    for each in chosen.checks:
        run_check(bench, each, chosen)
    return found


class _Traced:
    """A machine whose calls are traced; what the bench does for itself is not."""

    def __init__(self, machine: Any, trace: Any) -> None:
        self._machine, self._trace = machine, trace

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._machine, name)

        def traced(*arguments: Any) -> Any:
            sys.settrace(self._trace)
            try:
                return method(*arguments)
            finally:
                sys.settrace(None)

        return traced


def all_mutants(pages: dict[str, bytes]) -> list[Mutant]:
    """Give every mutant, always in the same order."""
    run = lines_run(pages)
    made = list(session_rows())
    for module in CHANGED:
        made += code_changes(module, run[module])
    return made

"""Random legal sessions with a meter, and all octets that the meter sent in them."""

from collections.abc import Generator, Iterator
from fractions import Fraction
from random import Random
from typing import Any

from protocols.c1218.client import Client, ScriptDone, ScriptFailed
from protocols.c1218.scripts import LogonSettings, close_session
from protocols.c1218.server import State
from protocols.c1218.session import LEGAL
from protocols.machine import Machine
from protocols.psem.codec import encode_request
from protocols.psem.codes import BAUD_CODES, ResponseCode
from protocols.psem.services import (
    DefaultRead,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    Logoff,
    Logon,
    Negotiate,
    OffsetRead,
    OffsetWrite,
    Request,
    Security,
    Terminate,
    Wait,
)
from smartmeter.base.clock import Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.cloning import CloneSettings, Cloning
from smartmeter.meter.image import MeterImage
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.twin import Twin, TwinPasswords

#: A clock that stands: what moves by itself is aside, so that all else can be equal.
STANDING = Fraction(1, 10**9)
NOON_UTC_US = 1_767_268_800_000_000
PASSWORDS = (b"reader", b"master")
LOGS = (74, 76)


def _measured() -> MemoryNvram:
    """Give the memory of a meter that has measured for two days."""
    memory = MemoryNvram()
    for begin_us in (NOON_UTC_US - 2 * 86_400_000_000, NOON_UTC_US):
        Meter(MeterSettings(), memory, Calendar(begin_us, STANDING), 0).expire(0)
    return memory


MEASURED = _measured()


def original() -> Meter:
    """Give a meter that has measured for two days, with its clock standing."""
    pages = {name: MEASURED.get(name) or b"" for name in MEASURED.names()}
    return Meter(MeterSettings(), MemoryNvram(pages), Calendar(NOON_UTC_US, STANDING), 0)


def converse(
    client: Client, machine: Machine, script: Any, now_us: int = 0
) -> tuple[Any, list[bytes]]:
    """Run a script on a line without delay; gives its result, and what the meter sent."""
    token, said = object(), []
    client.run(script, token, now_us)
    while True:
        for event in client.events():
            if isinstance(event, ScriptFailed):
                raise event.error
            if isinstance(event, ScriptDone) and event.token is token:
                machine.receive(client.outgoing(), now_us)
                return event.result, said
        machine.events()
        if data := client.outgoing():
            client.sent(now_us)
            machine.receive(data, now_us)
        elif data := machine.outgoing():
            machine.sent(now_us)
            said.append(data)
            client.receive(data, now_us)
        else:
            dues = [due for m in (client, machine) if (due := m.deadline_us()) is not None]
            now_us = max(now_us, min(dues))
            for each in (client, machine):
                each.expire(now_us)


def clone(meter: Machine, settings: CloneSettings) -> MeterImage:
    """Clone a meter in memory."""
    client = Client()
    cloning = Cloning(settings, list, lambda done, total: None)
    converse(client, meter, cloning.script(client.limits))
    converse(client, meter, close_session())
    return cloning.image()


def session(rng: Random, numbers: list[int], sizes: dict[int, int]) -> list[Request]:
    """Draw a session: mostly what the state allows, to its end."""
    steps: list[Request] = [Identify()]
    state = State.ID
    for _ in range(rng.randrange(1, 14)):
        request = rng.choice(list(_choices(rng, numbers, sizes)))
        legal = (state, type(request)) in LEGAL
        if not legal and (rng.random() < 0.9 or isinstance(request, IndexRead | DefaultRead)):
            continue  # sns or isss: devices differ in what they say to both wrongs at once
        if isinstance(request, Identify) and isinstance(steps[-1], Identify):
            continue  # a copy on the line, not a request: the client starts its toggle anew
        steps.append(request)
        state = LEGAL.get((state, type(request)), state)
        if state is State.BASE:
            break
    return steps


def _choices(rng: Random, numbers: list[int], sizes: dict[int, int]) -> Iterator[Request]:
    table = rng.choice([*numbers, 7, rng.randrange(80), 2048 + rng.randrange(8)])
    size = sizes.get(table, 40)
    bauds = tuple(rng.sample(sorted(BAUD_CODES.values()), rng.randrange(4)))
    yield Negotiate(rng.choice((64, 65, 128, 500, 1024, 8192)), rng.choice((1, 2, 9, 255)), bauds)
    yield from [Logon(rng.randrange(4), rng.choice((b"", b"OPERATOR")))] * 3
    yield Security(rng.choice(PASSWORDS))
    yield Wait(rng.choice((1, 6, 30)))
    yield from [FullRead(table), OffsetRead(table, rng.randrange(size + 2), rng.randrange(90))] * 3
    yield from (IndexRead(table, (0,), 1), DefaultRead(), Identify(), Logoff(), Terminate())
    for written in (5, 6):
        if written in sizes:
            data = bytes(rng.randrange(32, 127) for _ in range(sizes[written]))
            at = rng.randrange(sizes[written])
            yield FullWrite(written, data[: rng.choice((len(data), len(data), at))])
            yield OffsetWrite(written, at, data[: rng.randrange(12)])


def answers(machine: Machine, steps: list[Request]) -> list[Any]:
    """Run a session; give every octet that the meter sent, but for logs that it wrote to."""
    said: list[Any] = []

    def script() -> Generator[Any, Any, None]:
        wrote = False
        for request in steps:
            room = (client.limits.packet_octets - 8) * client.limits.packets
            if len(encode_request(request)) > room:
                continue  # a write for which too little was negotiated
            response = yield request
            table = getattr(request, "table", None)
            aside = wrote and table in LOGS and response.ok
            said.append((response.code, len(response.data) if aside else response.data))
            written = isinstance(request, FullWrite | OffsetWrite) and response.ok
            wrote = wrote or written or response.code == ResponseCode.isc
        if not isinstance(steps[-1], Terminate):
            yield Terminate()

    client = Client()
    _, octets = converse(client, machine, script())
    return [*said, *map(len, octets)]


OPEN = CloneSettings(LogonSettings(password=b"master"))
IMAGE = clone(original(), OPEN)


def twin(image: MeterImage = IMAGE) -> Twin:
    return Twin(image, TwinPasswords())

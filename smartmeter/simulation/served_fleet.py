"""A fleet for a head-end that is not ours: many meters in one asyncio loop, each on its own way.

Each meter opens a connection to the head-end; with a listener the head-end, or
anybody with a key, reaches every one of them by its title on one port.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from random import Random

from ansi_tables.ssi_tables import STAGING_OFFSET, SsiTable
from protocols.c1222.addressing import is_group
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NEVER, Envelope, build_apdu
from protocols.c1222.envelope import Apdu, SegmentOutOfRange, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.node_events import MAX_APDU_OCTETS
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import Calendar, monotonic_us
from smartmeter.base.nvram import MemoryNvram, Nvram
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.bearers import make_bearers
from smartmeter.comms.event_loop import ended
from smartmeter.comms.listener import Listener
from smartmeter.comms.node import NodeHost
from smartmeter.comms.paths import TcpPath, UdpPath
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profiles import profile_named
from smartmeter.network.link import Link, LinkSettings
from smartmeter.simulation.breakable_node import BreakableNode
from smartmeter.simulation.plain_meter import PlainMeter, PlainSettings, Registering
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.street import MASTER, OPTICAL_USER_ID
from smartmeter.ssi.configuration import Configuration
from smartmeter.ssi.factory import Factory, TmsAddress
from smartmeter.ssi.states import ErrorCode
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.template import Template

#: Between the first words of one meter and of the next.
START_PAUSE_S = 0.01
Memories = Callable[[str], tuple[Nvram, Nvram]]


@dataclass(frozen=True)
class ServedSettings:
    """What the meters of a served fleet have in common."""

    connect: BearerSettings
    host_title: str = ".1"
    seed: int = 1
    plain: bool = False
    registering: Registering = Registering.SECURED
    notify_min: int = 15
    profile: str = "residential"
    #: What the modules were provisioned with before they came; None: nothing.
    template: Template | None = None


class FleetMember:
    """One meter: its device, its breakable ways, and the host that keeps it connected."""

    def __init__(
        self,
        shipped: Shipped,
        settings: ServedSettings,
        calendar: Calendar,
        memories: tuple[Nvram, Nvram],
        number: int,
    ) -> None:
        self.shipped, self.calendar = shipped, calendar
        self.power_due_us: int | None = None
        chance = Random(f"{settings.seed}/{shipped.esn}")
        meter = MeterSettings(
            serial=shipped.esn,
            seed=chance.randrange(1 << 30),
            master_password=MASTER,
            profile=profile_named(settings.profile, settings.seed + number),
        )
        make = _plain_meter if settings.plain else _smart_meter
        self.device: SmartMeter | PlainMeter = make(
            shipped, settings, meter, calendar, memories, chance
        )
        self.line = BreakableNode(self.device, lambda: Link(LinkSettings(), chance), chance)
        self.host = NodeHost(_Heard(self.line), make_bearers([settings.connect], shipped.esn))

    @property
    def machine(self) -> Meter:
        """Give the meter that measures."""
        return self.device.meter

    @property
    def mains_on(self) -> bool:
        """Tell whether it has mains."""
        return self.machine.mains_on

    def power(self, on: bool, now_us: int) -> None:
        """Cut or return the mains."""
        self.device.mains(on, now_us)

    @property
    def hindrance(self) -> str:
        """Tell why a module cannot begin with its meter; nothing where it can, or is none."""
        standing = self.device.standing()
        if standing["error"] != ErrorCode.CONFIGURATION_FAILED:
            return ""
        return standing["why"] or "it cannot be read"

    def step(self) -> None:
        """Carry what has happened to it."""
        self.device.expire(monotonic_us())
        self.host.step()


def _provision(nvram: Nvram, template: Template) -> None:
    """Give a module a configuration before its first start, unless it has one."""
    configuration = Configuration(nvram)
    if not configuration.version:
        for table, image in template.images.items():
            configuration.stage(SsiTable(table + STAGING_OFFSET), image)
        configuration.commit(template.version, template.digest)


def _smart_meter(
    shipped: Shipped,
    settings: ServedSettings,
    meter: MeterSettings,
    calendar: Calendar,
    memories: tuple[Nvram, Nvram],
    chance: Random,
) -> SmartMeter:
    if settings.template is not None:
        _provision(memories[0], settings.template)
    factory = Factory(
        shipped.esn,
        shipped.key,
        (TmsAddress(settings.connect.address, settings.host_title),),
        OPTICAL_USER_ID,
        "SSI",
        MASTER,
        own_title=shipped.title,
    )
    return SmartMeter(
        factory.check(),
        meter,
        calendar,
        monotonic_us(),
        direct=True,
        memories=memories,
        joins_segments=settings.connect.way.has_segments,
    )


def _plain_meter(
    shipped: Shipped,
    settings: ServedSettings,
    meter: MeterSettings,
    calendar: Calendar,
    memories: tuple[Nvram, Nvram],
    chance: Random,
) -> PlainMeter:
    plain = PlainSettings(
        shipped.esn,
        ApTitle.parse(shipped.title),
        shipped.key,
        ApTitle.parse(settings.host_title),
        settings.registering,
        settings.notify_min,
    )
    now_us = monotonic_us()
    # A fresh start by the clock is unlike any before, whatever the meter remembers.
    first_id = ((calendar.utc_s(now_us) or 0) & 0x3FFFFFFF) + 1
    device = Meter(meter, memories[1], calendar, now_us)
    made = PlainMeter(plain, device, calendar, first_id, chance.randint, now_us)
    made.server.node.joins_segments = settings.connect.way.has_segments
    return made


class _Heard:
    """A node on its bearers and on a listener: what goes to a listener's path leaves here."""

    def __init__(self, line: BreakableNode) -> None:
        self._line = line
        self.receive, self.expire = line.receive, line.expire
        self.bearer_up, self.bearer_down = line.bearer_up, line.bearer_down
        self.need, self.longest, self.doubted = line.need, line.longest, line.doubted
        self.deadline_us = line.deadline_us

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs for bearers."""
        rest = []
        for path, octets in self._line.outgoing():
            if isinstance(path, TcpPath | UdpPath):
                path.send(octets)
            else:
                rest.append((path, octets))
        return rest


class ServedFleet:
    """All meters; implements the listener's Handler: each APDU goes to whose title it has.

    ``new_calendar`` gives each meter a clock of its own, which may be set and drift.
    """

    def __init__(
        self,
        shipped: Sequence[Shipped],
        settings: ServedSettings,
        new_calendar: Callable[[], Calendar],
        memories: Memories | None = None,
    ) -> None:
        memories = memories or (lambda esn: (MemoryNvram(), MemoryNvram()))
        self.members = [
            FleetMember(one, settings, new_calendar(), memories(one.esn), number)
            for number, one in enumerate(shipped)
        ]
        self.counts: Counter[str] = Counter()
        #: Whom a title was found to be.
        self._found: dict[tuple[int, ...], FleetMember] = {}
        most = settings.connect.segment_octets
        self.listener = Listener(self, MAX_APDU_OCTETS, segment_octets=most)
        self._next_id = 1

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen on TCP and UDP, with ``tls`` on TCP alone; SettingsError when it cannot be."""
        await self.listener.listen(host, port, tls, f"--listen {host}:{port}")

    async def run(self) -> None:
        """Keep all meters running until cancelled; they come alive one after the other."""
        tasks: list[asyncio.Task[None]] = []
        try:
            for member in self.members:
                tasks.append(asyncio.create_task(member.host.run()))
                await asyncio.sleep(START_PAUSE_S)
            await asyncio.gather(*tasks)
        finally:
            await ended(*tasks)
            with contextlib.suppress(OSError):
                await self.listener.close()

    def network_events(self) -> dict[str, int]:
        """Give what came to the listener and to all meters, and what was refused, by reason."""
        counts = self.counts + self.listener.counts
        for member in self.members:
            counts += member.device.counts
        return dict(sorted(counts.items()))

    # What the listener tells.

    def receive(self, path: Hashable, octets: bytes) -> None:
        """Give an APDU to the meter whose title it has; ``uat`` where there is none."""
        try:
            apdu = decode_apdu(octets)
        except SegmentOutOfRange as error:
            apdu = error.apdu  # its meter has something to say to that
        except ApduRejected as error:
            self.counts[f"rejected {error.told}"] += 1
            return
        member = self._called(apdu)
        meant = [member] if member is not None else []
        if member is None and apdu.called is not None and is_group(apdu.called):
            meant = self.members  # each node knows whether it is meant
        for one in meant:
            one.line.receive(path, octets, monotonic_us())
            one.host.step()
        if meant:
            return
        self.counts["not here"] += 1
        may_answer = not apdu.is_response and not apdu.is_segment
        if may_answer and apdu.user_information[0] & 3 != NEVER:
            self._next_id = self._next_id % 0xFFFF + 1
            back = Envelope(self._next_id, apdu.calling, apdu.called, apdu.calling_invocation_id)
            assert isinstance(path, TcpPath | UdpPath)
            path.send(build_apdu(back, [bytes([ResponseCode.uat])]))

    def received(self) -> None:
        """Everything was carried as it came."""

    def closed(self, path: Hashable) -> None:
        """A connection has gone."""
        for member in self.members:
            member.line.forget(path)

    def refused(self, path: Hashable, reason: str) -> None:
        """A connection carried what is no message; the listener has counted it."""

    def _called(self, apdu: Apdu) -> FleetMember | None:
        if apdu.called is None:
            return self.members[0] if len(self.members) == 1 else None
        wanted = apdu.called.absolute
        found = self._found.get(wanted)
        # A registrar may have given it another title meanwhile.
        if found is None or found.device.title.absolute != wanted:
            found = next((one for one in self.members if one.device.title.absolute == wanted), None)
            if len(self._found) >= 2 * len(self.members):
                self._found.clear()
            if found is not None:
                self._found[wanted] = found
        return found

"""How a gateway and its meters do: what its socket and ``gateway status --json`` give.

What ends in ``_s`` is a UTC second, but for ``clock_offset_s``; None: not known.
"""

from __future__ import annotations

from typing import Any, TypedDict


class ModuleStatus(TypedDict, total=False):
    """What a module tells that runs.  Before the first one runs, nothing of it is there."""

    #: One sentence on its state, what is wrong and what helps; where no module runs, as the
    #: storage takes nothing, that alone.
    text: str
    #: As its display shows them (``smartmeter.ssi.states``); 0: no error, no warning.
    state: int
    error: int
    warning: int
    meter_answers: bool
    meter_serial: str | None
    #: At the optical port; None: not tried yet.
    password_accepted: bool | None
    #: Reports that wait for the TMS, and those of them that it has refused.
    outbox: int
    set_aside: int
    last_acknowledged_s: int | None
    #: Intervals that no report has a form for, as a channel of them holds no whole count.
    intervals_left_out: int
    #: The version that was provisioned.
    configuration: int
    #: The meter's clock less the module's, in seconds.
    clock_offset_s: int
    #: Which version runs, what is being received, how the last one ended; or ``off``.
    upgrade: str
    #: What was written to its state file since it began.
    state_commits: int
    state_octets: int


class MeterStatus(ModuleStatus):
    """How one meter's place does, and its module if one runs."""

    esn: str
    title: str
    port: str
    port_open: bool
    #: The newest value is no older than two periods.
    fresh: bool
    last_interval_end_s: int | None
    registers_read_s: int | None
    mains: bool
    #: The time by the module's calendar; None: not read from the meter yet.
    utc_s: int | None
    #: The cheapest first (``smartmeter.comms.failover``).
    bearers: list[dict[str, Any]]
    #: What came over the network and was served or refused, since the program began.
    network_events: dict[str, int]


class GatewayStatus(TypedDict):
    """How everything on one board does."""

    version: str
    #: What the gateway may do to the meters.
    permission: str
    #: The addresses of the TMS, or ``local``: in this process.
    tms: list[str] | str
    meters: list[MeterStatus]

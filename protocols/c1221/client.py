"""The client's side of C12.21: a C12.18 client at the near end of a call.

It takes over the time-outs that a Timing Setup was answered with, hears only
the identity that it calls, and hangs up after Disconnect (event HangUp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocols.c1218.client import Client, ClientOptions
from protocols.c1221.profile import TIMING, TRAFFIC_US, timing_of
from protocols.errors import LinkError
from protocols.machine import US_PER_S, Event, HangUp
from protocols.psem.codec import request_type
from protocols.psem.services import Disconnect, Request, Response, TimingSetup

#: What the client waits for an answer: the channel traffic time-out.
CALL_OPTIONS = ClientOptions(
    answer_timeout_us=TRAFFIC_US, write_answer_timeout_us=TRAFFIC_US, timing=TIMING
)


class CallClient(Client):
    """Runs scripts over a modem.  ``options.identity`` is the device called, 0 whichever is there.

    ``line_lost`` tells it that the carrier has gone.
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        super().__init__(options or CALL_OPTIONS)
        self._link.accepts = frozenset((self._options.identity,))
        self._setup: TimingSetup | None = None
        self._hang_up = False

    def line_lost(self, error: LinkError, now_us: int) -> None:
        """The session is gone: the script that runs is told."""
        if self._setup is not None:
            self._use_timing(None)
        super().line_lost(error, now_us)

    def events(self) -> Sequence[Event]:
        """Give ends of scripts, and HangUp when all that is to be said has left."""
        events = list(super().events())
        if self._hang_up and self.quiet:
            self._hang_up = False
            events.append(HangUp("the call is over"))
        return events

    def _take_request(self, code: int, now_us: int) -> None:
        self._hang_up = self._hang_up or request_type(code) is Disconnect
        super()._take_request(code, now_us)

    def _adopt(self, request: Request, response: Response) -> None:
        if isinstance(request, TimingSetup) and len(response.data) >= 4:
            self._use_timing(TimingSetup(*response.data[:4]))
        elif isinstance(request, Disconnect):
            self._to_base()
            self._hang_up = True
        super()._adopt(request, response)

    def _use_timing(self, setup: TimingSetup | None) -> None:
        """Take time-outs over; one of 0 seconds is none that a device may answer, and is left."""
        self._setup = setup
        options = self._options
        timing, traffic_us = CALL_OPTIONS.timing, TRAFFIC_US
        if setup is not None and all((setup.traffic_s, setup.inter_character_s, setup.response_s)):
            timing = timing_of(setup, self._link.timing.turn_around_us)
            traffic_us = setup.traffic_s * US_PER_S
        self._link.set_timing(timing)
        self._options = replace(
            options,
            timing=timing,
            answer_timeout_us=traffic_us,
            write_answer_timeout_us=traffic_us,
        )

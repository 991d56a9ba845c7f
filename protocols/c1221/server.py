"""The device's side of C12.21: a C12.18 device at the far end of a call.

It hears packets that carry its own identity or 00, and answers with the
identity of the request.  Every Identification gives a fresh ticket, which is
good until Base state.  After Disconnect, and when its answer is not
acknowledged, the line is hung up (event HangUp).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from protocols.c1218.device import Device, ServerOptions
from protocols.c1218.server import Server
from protocols.c1221.authentication import BLOCK_OCTETS, proof
from protocols.c1221.profile import (
    ANYBODY,
    AUTHENTICATES,
    DES,
    EXTERNAL_BAUD,
    LEGAL,
    SERVED,
    STANDARD,
    TIMING,
    TRAFFIC_US,
    timing_of,
)
from protocols.machine import US_PER_S, HangUp
from protocols.psem.codes import ResponseCode
from protocols.psem.identification import Identification
from protocols.psem.services import (
    Authenticate,
    Disconnect,
    Negotiate,
    Request,
    Response,
    TimingSetup,
)


@runtime_checkable
class AuthenticatingDevice(Protocol):
    """A device that has keys (ST-45); without it Authenticate is ``sns`` and not announced."""

    def authentication_key(self, key_id: int) -> bytes | None:
        """Give a key of 8 octets, or None."""

    def authenticated(self, key_id: int, now_us: int) -> None:
        """Grant the rights that are bound to a key: the client has proved that it has it."""


@dataclass(frozen=True)
class CallOptions:
    """What a device on a telephone line is: its address there (1 to 255; 0 has none).

    ``ticket`` gives 8 octets that nobody can foresee.  ``refusal`` answers a
    wrong proof; sources name isc and err.
    """

    ticket: Callable[[], bytes]
    identity: int = ANYBODY
    refusal: ResponseCode = ResponseCode.isc


class CallServer(Server):
    """A C12.21 device on one modem; ``line_lost`` tells it that the carrier has gone."""

    legal, served = LEGAL, SERVED

    def __init__(
        self, device: Device, call: CallOptions, options: ServerOptions | None = None
    ) -> None:
        options = options or ServerOptions(timing=TIMING, traffic_us=TRAFFIC_US, bauds=())
        super().__init__(device, options)
        self._call = call
        if call.identity != ANYBODY:
            self._link.accepts = frozenset((ANYBODY, call.identity))
        self._ticket: bytes | None = None
        self._after_timing: TimingSetup | None = None
        self._hang_up = False

    def line_began(self, now_us: int) -> None:
        """A call begins: nothing of one before it is left."""
        self.line_lost(now_us)

    def line_lost(self, now_us: int) -> None:
        """The carrier has gone: the next call begins anew."""
        self._hang_up = False
        super().line_lost(now_us)

    def _implements(self, kind: type[Request]) -> bool:
        if kind is Authenticate:
            return isinstance(self._device, AuthenticatingDevice)
        return super()._implements(kind)

    def _dispatch(self, request: Request, now_us: int) -> Response:
        match request:
            case TimingSetup():
                return self._set_timing(request)
            case Authenticate(key_id, block):
                return self._authenticate(key_id, block, now_us)
            case Disconnect():
                self._hang_up = True
        return super()._dispatch(request, now_us)

    def _identification(self) -> Response:
        options = self._options
        found = Identification(STANDARD, options.version, options.revision)
        if isinstance(self._device, AuthenticatingDevice):
            self._ticket = self._call.ticket()
            found = replace(found, auth_type=AUTHENTICATES, auth_algorithm=DES, ticket=self._ticket)
        return Response(ResponseCode.ok, options.identification or found.encode())

    def _negotiate(self, request: Negotiate) -> Response:
        response = super()._negotiate(replace(request, bauds=()))
        if not response.ok:
            return response
        return Response(ResponseCode.ok, response.data[:-1] + bytes((EXTERNAL_BAUD,)))

    def _set_timing(self, asked: TimingSetup) -> Response:
        """Take the time-outs over, no timer as 0, once the answer is acknowledged."""
        granted = TimingSetup(
            max(1, asked.traffic_s),
            max(1, asked.inter_character_s),
            max(1, asked.response_s),
            asked.retries,
        )
        self._after_timing = granted
        values = (granted.traffic_s, granted.inter_character_s, granted.response_s)
        return Response(ResponseCode.ok, bytes((*values, granted.retries)))

    def _authenticate(self, key_id: int, block: bytes, now_us: int) -> Response:
        assert isinstance(self._device, AuthenticatingDevice)
        key = self._device.authentication_key(key_id)
        ticket = self._ticket
        if key is None or ticket is None or len(block) != BLOCK_OCTETS:
            return Response(self._call.refusal)
        if not hmac.compare_digest(proof(key, ticket), block):
            return Response(self._call.refusal)
        self._device.authenticated(key_id, now_us)
        own = proof(key, block)
        return Response(ResponseCode.ok, bytes((1 + len(own), key_id)) + own)

    def _apply_after_delivery(self, now_us: int, acknowledged: bool) -> None:
        setup, self._after_timing = self._after_timing, None
        if setup is not None and acknowledged:
            self._link.set_timing(timing_of(setup, self._link.timing.turn_around_us))
            self._traffic_us = setup.traffic_s * US_PER_S
            self._restart_traffic(now_us)
        super()._apply_after_delivery(now_us, acknowledged)

    def _enter_base(self, now_us: int, normally: bool, keep_last: bool = False) -> None:
        super()._enter_base(now_us, normally, keep_last)
        self._ticket = self._after_timing = None
        self._link.set_timing(self._options.timing)
        if self._hang_up:
            self._hang_up = False
            self._events.append(HangUp("the call was ended by Disconnect"))

"""C12.22 in a telephone call: APDUs on the line of a modem, as on a TCP connection.

``modem:NUMBER@PORT``.  The modems' own error correction (V.42) is relied on; what
is garbled all the same is no APDU any more, and ends the call.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocols.c1222.errors import ApduRejected
from protocols.c1222.stream import ApduStream
from protocols.machine import Event
from protocols.modem.at import INITIALISE, AtModem, CallEnded, CommandDone, Connected, DataArrived
from protocols.transports.capture import carried_notes
from smartmeter.comms.bearer import BearerSettings, Connection
from smartmeter.comms.machine_line import run_on_port
from smartmeter.comms.sms import number_at_port
from smartmeter.comms.task_connection import TaskConnection

#: Initialising, dialling and the far modem's answer together.
CALL_TIMEOUT_S = 90.0


class _Caller:
    """A modem that dials at once; a Machine."""

    def __init__(self, number: str, now_us: int) -> None:
        self.modem = AtModem()
        self.modem.command(INITIALISE, now_us)
        self.modem.dial(number, now_us)
        self.receive, self.expire = self.modem.receive, self.modem.expire
        self.deadline_us, self.outgoing = self.modem.deadline_us, self.modem.outgoing

    def sent(self, now_us: int) -> None:
        """Nothing hangs on it."""

    def events(self) -> Sequence[Event]:
        return self.modem.events()


class DialledConnection(TaskConnection):
    """One call; implements ``Connection``."""

    def __init__(self, settings: BearerSettings) -> None:
        super().__init__(settings.address)
        self._number, self._port = number_at_port(settings.address)
        self._stream = ApduStream()
        self._notes = carried_notes(f"call, {self._number}", listens=False)
        self._caller: _Caller | None = None

    async def opened(self) -> None:
        """Wait until the call stands; OSError when it does not come about."""
        await self._opened(run_on_port(self._port, self._make, self._heed), CALL_TIMEOUT_S)

    def send(self, octets: bytes) -> None:
        """Send one APDU; a call that has ended drops it."""
        if self._caller is not None and not self._work.done():
            self._notes.sent(octets)
            self._caller.modem.send(octets)

    def _make(self, now_us: int) -> _Caller:
        self._caller = _Caller(self._number, now_us)
        return self._caller

    def _heed(self, event: Event) -> None:
        match event:
            case Connected():
                self._ready.set()
            case CallEnded(reason):
                raise OSError(f"{self._number}: {reason}")
            case CommandDone(_, False, result, _):
                raise OSError(f"the modem says {result}")
            case DataArrived(octets):
                try:
                    for apdu in self._stream.feed(octets):
                        self._notes.received(apdu)
                        self._inbox.put(apdu)
                    self._stream.check()
                except ApduRejected as error:
                    raise OSError(f"{self._number}: {error.reason}") from error


class DialUpBearer:
    """A head-end that answers the telephone."""

    stands_by = False

    def __init__(self, settings: BearerSettings) -> None:
        number_at_port(settings.address)
        self.settings = settings

    async def connect(self) -> Connection:
        """Call; OSError when nobody answers."""
        connection = DialledConnection(self.settings)
        await connection.opened()
        return connection

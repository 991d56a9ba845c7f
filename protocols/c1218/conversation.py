"""All that one does with a meter, as scripts over one client: the part that every shell shares.

A shell opens a port, runs these scripts on it and gives back their results;
how it waits is its only business.
"""

from __future__ import annotations

from collections.abc import Callable

from protocols.c1218.client import Client, ClientOptions, ScriptDone, ScriptFailed
from protocols.c1218.scripts import (
    LogonSettings,
    Opened,
    ProcedureCall,
    answered,
    close_session,
    keep_alive,
    open_session,
    read_default,
    read_index,
    resumed,
)
from protocols.c1218.steps import ClientLimits, Script, T
from protocols.c1218.transfer import Progress, TableReading, TableWriting
from protocols.errors import LinkError, PortError, ProcedureUnanswered
from protocols.machine import SetBaud
from protocols.psem.codes import START_BAUD

#: The channel traffic time-out: a Wait of less would shorten it on some devices.
AT_LEAST_S = 6


class Conversation:
    """One client, how it logs on, and the scripts that go on in a new session where one is lost."""

    def __init__(self, settings: LogonSettings | None, options: ClientOptions | None) -> None:
        self.settings = settings or LogonSettings()
        self.client: Client = Client(options)
        self.opened: Opened | None = None

    def heed_events(
        self, set_baud: Callable[[int], None], token: object
    ) -> ScriptDone | ScriptFailed | None:
        """Tell ``set_baud`` of a new speed; give how the script of ``token`` ended, if it has."""
        found: ScriptDone | ScriptFailed | None = None
        for event in self.client.events():
            if isinstance(event, SetBaud):
                set_baud(event.baud)
            elif isinstance(event, ScriptDone | ScriptFailed) and event.token is token:
                found = event
        return found

    def wait_s(self, now_us: int, most_s: float) -> float:
        """Give how long a shell may wait for octets now."""
        due_us = self.client.deadline_us()
        return most_s if due_us is None else min(most_s, max(0.0, (due_us - now_us) / 1e6))

    def waited(self, data: bytes, now_us: int) -> None:
        """Take what came while a shell waited, if anything did, and do what is due."""
        if data:
            self.client.receive(data, now_us)
        due_us = self.client.deadline_us()
        if due_us is not None and now_us >= due_us:
            self.client.expire(now_us)

    def open(self) -> Script[Opened]:
        """Open a session."""
        self.opened = yield from open_session(self.settings, self.client.quirks)
        return self.opened

    def close(self) -> Script[None]:
        """Close the session."""
        return close_session(self.client.quirks)

    @staticmethod
    def may_close(error: BaseException | None) -> bool:
        """Tell whether after an error the line still stands, so that a session can be closed."""
        cause = error.__cause__ if isinstance(error, ProcedureUnanswered) else error
        return not isinstance(cause, LinkError | PortError)

    def read(self, table: int, progress: Progress | None = None) -> Script[bytes]:
        """Give a whole table."""
        reading = TableReading(table, progress=progress)
        return resumed(lambda: reading.script(self.client.limits), self.open)

    def read_part(
        self, table: int, offset: int, count: int, progress: Progress | None = None
    ) -> Script[bytes]:
        """Give octets of a table; what lies past its end is left out."""
        reading = TableReading(table, offset, count, progress)
        return resumed(lambda: reading.script(self.client.limits), self.open)

    def read_index(self, table: int, indices: tuple[int, ...], count: int) -> Script[bytes]:
        """Give elements of a table by their position in its structure."""
        limits = self.client.limits
        return resumed(lambda: read_index(table, indices, count, limits), self.open)

    def read_default(self) -> Script[bytes]:
        """Give the table that the device chooses."""
        return resumed(lambda: read_default(self.client.limits), self.open)

    def write(self, table: int, data: bytes, progress: Progress | None = None) -> Script[None]:
        """Write a whole table; OutcomeUnknown when the line fails meanwhile."""
        writing = TableWriting(table, data, progress=progress)
        return resumed(lambda: self._written(writing.script), self.open)

    def write_part(
        self, table: int, offset: int, data: bytes, progress: Progress | None = None
    ) -> Script[None]:
        """Write octets of a table; OutcomeUnknown when the line fails meanwhile."""
        writing = TableWriting(table, data, offset, progress)
        return resumed(lambda: self._written(writing.script), self.open)

    def procedure(self, initiate: bytes, ask: bool = True) -> Script[bytes]:
        """Run a procedure once: the image of ST-07 in, the image of ST-08 out.

        ProcedureUnanswered when it was started and its answer cannot be had.
        """
        call = ProcedureCall(initiate, ask)
        return answered(call, resumed(lambda: self._written(call.script), self.open))

    def _written(self, work: Callable[[ClientLimits], Script[T]]) -> Script[T]:
        """Write; after a rest at another speed only once the session is seen to be there still.

        A device in Base hears nothing at that speed: a write that it did not hear could not be
        told from one whose acknowledgment was lost.
        """
        if self.client.rested and self.client.baud != START_BAUD:
            yield from keep_alive(self.client.limits, AT_LEAST_S)
        return (yield from work(self.client.limits))

    def keep_alive(self, seconds: int) -> Script[None]:
        """Keep the session for an idle time, up to 255 s where the meter has Wait."""
        return resumed(lambda: keep_alive(self.client.limits, seconds), self.open)

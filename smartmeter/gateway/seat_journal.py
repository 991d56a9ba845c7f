"""What the journal is told of one meter's place: each event, and each change of what lasts."""

from __future__ import annotations

from protocols.machine import Event
from smartmeter.comms.node import NodeHost
from smartmeter.gateway.journal import Journal
from smartmeter.gateway.words import sentence
from smartmeter.ssi.guard import WriteDenied
from smartmeter.ssi.module import (
    MeterChanged,
    Module,
    ReportSetAside,
    SecurityNote,
    StateChanged,
)

#: Different causes of one error that are said, each once, until the error has gone.
MAX_CAUSES = 10


class SeatJournal:
    """Puts a module's events, and how its bearers, meter and password do, into words."""

    def __init__(self, journal: Journal, esn: str) -> None:
        self._journal, self._esn = journal, esn
        self._causes: set[str] = set()

    def say(self, text: str) -> None:
        """Say something of this meter."""
        self._journal.say(f"{self._esn}: {text}")

    def state(self, subject: str, text: str, why: str = "") -> None:
        """Say how a part of this meter's place does, when that is another than before."""
        self._journal.state(f"{self._esn} {subject}", text, why)

    def happened(self, event: Event) -> None:
        """Say what has happened to the module, if it is for people."""
        match event:
            case SecurityNote():
                self.say(f"refused a message: {event.reason}")
            case WriteDenied():
                self.say(f"{event.what} was refused: no local permission")
            case MeterChanged():
                self.say(f"another meter answers: {event.serial}, before {event.before}")
            case ReportSetAside():
                self.say(f"report {event.number} is set aside, the TMS answers {event.cause}")
            case StateChanged():
                self._say_state(event)

    def look(self, module: Module, host: NodeHost) -> None:
        """Say what has become of the bearers, the meter and the password."""
        if module.meter is not None:
            # Before, it has nothing to say to any TMS.
            for one in host.bearers():
                if one["works"] or one["failures"]:
                    told, why = ("works", "") if one["works"] else ("is away", one["fault"])
                    self.state(f"TMS {one['address']}", told, why)
            self.state("meter", "answers" if module.parts.link.answers else "does not answer")
        if (accepted := module.parts.optical.password_accepted) is not None:
            told = "is accepted" if accepted else "is refused, the meter shows what needs none"
            self.state("password", told)

    def _say_state(self, event: StateChanged) -> None:
        """Say state and error in codes and words; each cause of an error once."""
        if event.why:
            if event.why in self._causes or len(self._causes) >= MAX_CAUSES:
                return
            self._causes.add(event.why)
        elif not event.error:
            self._causes.clear()
        words = sentence(event.state, event.error, why=event.why)
        told = f"state {event.state:02d} error {event.error:02d}: {words}"
        self._journal.state(self._esn, told)

"""Keeps the sinks fed, each at its own pace; a sink that fails rests and catches up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from smartmeter.base.address import shown
from smartmeter.base.errors import StorageError
from smartmeter.gateway.journal import Journal
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.csv_file import CsvFile
from smartmeter.gateway.sinks.settings import InfluxSettings, SinkRefused, Sinks, TokenRefused

if TYPE_CHECKING:
    from smartmeter.gateway.sinks.mqtt import MqttSink

POLL_S = 1.0
#: A board that is on for a part of an hour only forgets, too; one that begins again and again
#: while its clock is wrong does not forget a day each time.
FIRST_PRUNE_S, PRUNE_S = 600.0, 3600.0
CSV, NOTHING = "CSV file", "takes nothing"
FIRST_REST_S, MAX_REST_S = 2.0, 300.0
#: After a token that was refused: Home Assistant may ban an address after a few.
TOKEN_REST_S = 3600.0

#: Passes on what is next; gives how much of it went to the sink, None where nothing is new.
Step = Callable[[], Coroutine[Any, Any, int | None]]


class Outlets:
    """All sinks of one gateway, as tasks; SettingsError for TLS files that are wrong."""

    def __init__(
        self,
        sinks: Sinks,
        readings: Readings,
        journal: Journal,
        meters: Callable[[], Iterable[Any]],
        utc_s: Callable[[], int | None],
    ) -> None:
        self._sinks, self._readings, self._journal = sinks, readings, journal
        self._utc_s = utc_s
        self._last: list[CsvFile] = []
        self._mqtt: MqttSink | None = None
        if sinks.mqtt is not None:
            # Here, so that a gateway without a broker does not load the client.
            from smartmeter.gateway.sinks.mqtt import MqttSink

            broker = f"MQTT broker {shown(sinks.mqtt.host, sinks.mqtt.port)}"
            self._mqtt = MqttSink(sinks.mqtt, readings, meters, partial(journal.state, broker))
        self._steps = dict(self._make_steps())

    def _make_steps(self) -> Iterator[tuple[str, Step]]:
        """Give what feeds each sink that is set, beside the broker, by its name."""
        sinks, readings = self._sinks, self._readings
        if sinks.csv is not None:
            file = CsvFile(sinks.csv, readings)
            self._last.append(file)

            async def csv_step() -> int | None:
                return 1 if file.step() else None

            yield CSV, csv_step
        if sinks.influx is not None:
            yield "InfluxDB", _influx_step(sinks.influx, readings, self._journal)
        if sinks.home_assistant is not None:
            from smartmeter.gateway.sinks.statistics import Statistics
            from smartmeter.gateway.sinks.statistics_link import StatisticsLink

            link = StatisticsLink(
                sinks.home_assistant, lambda text: self._journal.say(f"Home Assistant: {text}")
            )
            yield "Home Assistant", Statistics(link, readings).step

    def runners(self) -> list[Coroutine[Any, Any, None]]:
        """Give what is to be run: one coroutine a sink that is set."""
        found = [self._prune(), *(self._feed(name, step) for name, step in self._steps.items())]
        if self._mqtt is not None:
            found.append(self._mqtt.run())
        return found

    def finish(self) -> None:
        """At the end: what is in the readings is in the files too."""
        for file in self._last:
            try:
                while file.step():
                    continue
            except StorageError as error:
                self._journal.state(CSV, f"{NOTHING}: {error}")

    async def _feed(self, name: str, step: Step) -> None:
        rest_s, seen = FIRST_REST_S, -1
        while True:
            if seen == self._readings.kept:
                await asyncio.sleep(POLL_S)
                continue
            kept = self._readings.kept
            try:
                sent = await step()
            except (SinkRefused, StorageError) as error:
                self._journal.state(name, f"{NOTHING}: {error}")
                is_lasting = isinstance(error, TokenRefused)
                await asyncio.sleep(TOKEN_REST_S if is_lasting else rest_s)
                rest_s = min(2 * rest_s, MAX_REST_S)
                continue
            rest_s = FIRST_REST_S
            if sent is None:
                seen = kept
            elif sent:  # else nobody was asked to take anything
                self._journal.state(name, "takes what comes")

    async def _prune(self) -> None:
        rest_s = FIRST_PRUNE_S
        while True:
            await asyncio.sleep(rest_s)
            rest_s = PRUNE_S
            now_s = self._utc_s()
            if now_s is not None:
                try:
                    self._readings.prune(now_s)
                except StorageError as error:
                    self._journal.say(str(error))


def _influx_step(settings: InfluxSettings, readings: Readings, journal: Journal) -> Step:
    from smartmeter.gateway.sinks.influx import WHOLE_TIMEOUT_S, InfluxSink

    sink = InfluxSink(settings, readings, lambda text: journal.say(f"InfluxDB: {text}"))

    async def step() -> int | None:
        lines, position = sink.batch()
        try:
            async with asyncio.timeout(WHOLE_TIMEOUT_S):
                told = await asyncio.to_thread(sink.send, lines, sink.tls()) if lines else ""
        except TimeoutError:
            raise SinkRefused("InfluxDB does not come to the end of its answer") from None
        finally:
            sink.hang_up()
        if told:
            journal.say(f"InfluxDB keeps nothing as old as some of what it was sent: {told}")
        return len(lines) if sink.sent(position) else None

    return step

"""What the codes of the display mean is said in words, with the remedy; freshness is judged."""

from pathlib import Path

from smartmeter.gateway.freshness import is_fresh
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.words import sentence
from smartmeter.ssi.states import ErrorCode, Life, State, StateChanged, WarningCode
from tests.smartmeter.gateway.reports import EPOCH_S, QUARTER_S, hello, meter_images, profile
from tests.smartmeter.ssi.host import FACTORY

ESN, HOUR_S = FACTORY.esn, 3600


def test_every_code_of_the_display_has_its_words() -> None:
    said = {sentence(state, error) for state in State for error in ErrorCode}
    assert len(said) == len(State) * len(ErrorCode)
    warned = {sentence(State.PROVISIONED, 0, warning) for warning in WarningCode}
    assert len(warned) == len(WarningCode)
    told = sentence(State.CONFIGURING, ErrorCode.CONFIGURATION_FAILED, why="its clock is not set")
    assert told.startswith("reads its meter; the meter cannot be read: its clock is not set; run")
    assert "retired" in sentence(State.PROVISIONED, ErrorCode.REGISTRATION_FAILED)
    assert "or not set" in sentence(State.PROVISIONED, ErrorCode.CLOCK_OFF)


def test_an_error_tells_its_cause_and_each_new_cause() -> None:
    life = Life(State.CONFIGURING)
    life.set_error(ErrorCode.CONFIGURATION_FAILED, "no answer")
    life.set_error(ErrorCode.CONFIGURATION_FAILED, "no answer")
    life.set_error(ErrorCode.CONFIGURATION_FAILED, "the meter's clock is not set")
    life.clear(ErrorCode.CONFIGURATION_FAILED)
    told = [event for event in life.events() if isinstance(event, StateChanged)]
    causes = ["no answer", "the meter's clock is not set", ""]
    assert [event.why for event in told] == causes
    assert [event.error for event in told] == [30, 30, 0]


def test_values_are_stale_after_two_of_the_longer_of_schedule_and_interval(tmp_path: Path) -> None:
    readings = Readings(tmp_path / "r.sqlite3")
    assert not is_fresh(readings, ESN, QUARTER_S, EPOCH_S, EPOCH_S), "nothing has come yet"
    readings.keep(ESN, 1, [(1, profile(1, 0, [[51, 0]]))])
    end_s = EPOCH_S + QUARTER_S
    for period_s, longer_s in ((QUARTER_S, QUARTER_S), (60, QUARTER_S), (HOUR_S, HOUR_S)):
        for age_s, fresh in ((2 * longer_s, True), (2 * longer_s + 1, False)):
            # Intervals carry the meter's time, whatever the module's clock shows.
            assert is_fresh(readings, ESN, period_s, 0, end_s + age_s) is fresh
    readings.close()


def test_a_meter_that_records_no_intervals_is_judged_by_its_registers(tmp_path: Path) -> None:
    readings = Readings(tmp_path / "r.sqlite3")
    readings.keep(ESN, 1, [(1, hello(1, meter_images()))])
    assert readings.registers_read_s(ESN) is None
    sql = "INSERT INTO registers (esn, time_s, name, unit, value, raw) VALUES (?,?,'','','','')"
    readings._db.do(sql, ESN, EPOCH_S + 99 * HOUR_S)  # the clock was ahead, and is set back
    readings._db.do(sql, ESN, EPOCH_S)
    # They carry the module's time, whatever the meter's clock shows.
    assert is_fresh(readings, ESN, QUARTER_S, EPOCH_S + 2 * QUARTER_S, 0)
    assert not is_fresh(readings, ESN, QUARTER_S, EPOCH_S + 2 * QUARTER_S + 1, 0)
    readings.close()

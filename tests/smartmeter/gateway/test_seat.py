"""What a gateway takes of its module: into the readings before it leaves, and understood."""

from pathlib import Path

from smartmeter.base.errors import StorageError
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.seat import TappedModule
from tests.smartmeter.ssi.host import FACTORY, Street, raise_alarms


def not_expected(error: StorageError) -> None:
    raise error


def test_readings_that_were_begun_anew_wait_for_the_tables_by_which_reports_are_understood(
    tmp_path: Path,
) -> None:
    street = Street()
    street.run(10)
    module = street.device.module
    meter, module.reporter.meter = module.meter, None  # as after a start
    assert meter is not None
    raise_alarms(street, 1)
    module.expire(street.world.now_us)
    readings = Readings(tmp_path / "r")
    tapped = TappedModule(module, readings, not_expected)
    assert not tapped.outgoing() and not readings.after("happenings", 0)
    module.reporter.meter = meter
    tapped.expire(street.world.now_us)
    assert readings.after("happenings", 0) and readings.knows(FACTORY.esn)
    again = TappedModule(module, Readings(tmp_path / "r"), not_expected)
    module.reporter.meter = None
    raise_alarms(street, 1)
    again.expire(street.world.now_us)
    assert len(readings.after("happenings", 0)) == 2, "what is known already is not waited for"

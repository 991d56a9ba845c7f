"""What a TMS tells Prometheus: its network side, SmartMeters by state, what waits for people."""

from __future__ import annotations

from smartmeter.base.errors import StorageError
from smartmeter.comms.metrics import Family, network_families
from smartmeter.tms.service import Service

_WORKS = "smartmeter_database_works", "Whether the database can be read, and takes changes"


def tms_families(service: Service) -> list[Family]:
    """Give the figures of the overview; only that the database fails, where it cannot be read."""
    try:
        view = service.overview()
    except StorageError:
        return [Family(*_WORKS, [("", 0)])]
    alone = (
        (*_WORKS, int(not view["fault"])),
        ("smartmeter_reports", "Reports that are stored", view["reports"]),
        ("smartmeter_intervals", "Intervals that are stored", view["intervals"]),
        ("smartmeter_open_alarms", "Alarms that nobody has closed", view["open_alarms"]),
        ("smartmeter_unknown_devices", "Devices not on any shipment", view["unknown_devices"]),
    )
    return [
        *network_families(service.network(), view["connections"]),
        Family(
            "smartmeter_meters",
            "SmartMeters by their state",
            sorted(view["states"].items()),
            label="state",
        ),
        Family("smartmeter_polls", "Polls by exception", [("", view["polls"])], counts=True),
        *(Family(name, told, [("", value)]) for name, told, value in alone),
    ]

"""The device profiles: one file a kind of device, all data."""

from collections.abc import Mapping

from smartmeter.base.errors import SettingsError
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles.bcd_1997 import BCD_1997
from smartmeter.meter.profiles.commercial import COMMERCIAL
from smartmeter.meter.profiles.industrial import INDUSTRIAL
from smartmeter.meter.profiles.residential import RESIDENTIAL
from smartmeter.meter.profiles.residential_tou import RESIDENTIAL_TOU
from smartmeter.meter.profiles.unusual import UNUSUAL

#: All profiles by name; the first is the default.
PROFILES: Mapping[str, DeviceProfile] = {
    profile.name: profile
    for profile in (RESIDENTIAL, RESIDENTIAL_TOU, COMMERCIAL, INDUSTRIAL, BCD_1997, UNUSUAL)
}


def profile_named(name: str) -> DeviceProfile:
    """Give a profile by its name; SettingsError lists those that there are."""
    try:
        return PROFILES[name]
    except KeyError:
        known = ", ".join(PROFILES)
        raise SettingsError("profile", f"{name!r} is not known", f"one of {known}") from None


__all__ = ["PROFILES", "RESIDENTIAL", "profile_named"]

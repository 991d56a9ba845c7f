"""The device profiles: one file a kind of device, all data."""

from collections.abc import Mapping

from smartmeter.base.errors import SettingsError
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles.bcd_1997 import BCD_1997
from smartmeter.meter.profiles.commercial import COMMERCIAL
from smartmeter.meter.profiles.drawn import draw_profile
from smartmeter.meter.profiles.industrial import INDUSTRIAL
from smartmeter.meter.profiles.residential import RESIDENTIAL
from smartmeter.meter.profiles.residential_tou import RESIDENTIAL_TOU
from smartmeter.meter.profiles.unusual import UNUSUAL

#: All profiles by name; the first is the default.
PROFILES: Mapping[str, DeviceProfile] = {
    profile.name: profile
    for profile in (RESIDENTIAL, RESIDENTIAL_TOU, COMMERCIAL, INDUSTRIAL, BCD_1997, UNUSUAL)
}
#: The name of a device that is drawn by seed.
RANDOM = "random"


def profile_named(name: str, seed: int = 1) -> DeviceProfile:
    """Give a profile by its name; "random" is drawn from the seed.

    SettingsError lists the names that there are.
    """
    if name == RANDOM:
        return draw_profile(seed)
    try:
        return PROFILES[name]
    except KeyError:
        known = ", ".join((*PROFILES, RANDOM))
        raise SettingsError("profile", f"{name!r} is not known", f"one of {known}") from None


__all__ = ["PROFILES", "RANDOM", "RESIDENTIAL", "profile_named"]

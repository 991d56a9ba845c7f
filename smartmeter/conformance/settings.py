"""Files that a user writes for the bench: the device's profile and known deviations (TOML).

A profile::

    name = "bench meter 3"
    lacks = ["Wait", "Security"]      # services that the device does not claim
    user_id = 2
    user = "OPERATOR"
    bauds = [9600, 19200]             # speeds that it claims

Waivers::

    [[waiver]]
    check = "D45"
    reason = "answers identity 00 only; accepted until firmware 4.2"
"""

from __future__ import annotations

from collections.abc import Collection

from protocols.psem.codes import BAUD_CODES
from protocols.psem.services import OPTIONAL_SERVICES
from smartmeter.base.errors import SettingsError
from smartmeter.base.file import parse_toml
from smartmeter.conformance.bench import Profile, all_checks

KEYS = ("name", "lacks", "user_id", "user", "bauds")
MAX_REASON = 300


def read_profile(text: str, name: str) -> Profile:
    """Read a profile; SettingsError names the key."""
    values = parse_toml(text, name)
    if unknown := values.keys() - set(KEYS):
        raise SettingsError(name, f"unknown key {min(unknown)!r}", f"use {', '.join(KEYS)}")
    lacks = values.get("lacks", [])
    if not isinstance(lacks, list) or any(each not in OPTIONAL_SERVICES for each in lacks):
        known = ", ".join(OPTIONAL_SERVICES)
        raise SettingsError(name, "lacks must list services", f"choose of {known}")
    user_id, user = values.get("user_id", 0), values.get("user", "")
    if not isinstance(user_id, int) or not 0 <= user_id <= 0xFFFF:
        raise SettingsError(name, "user_id must be 0 to 65535")
    if not isinstance(user, str) or len(user.encode()) > 10:
        raise SettingsError(name, "user must be text of up to 10 octets")
    bauds = values.get("bauds", [])
    if not isinstance(bauds, list) or not set(map(str, bauds)) <= set(map(str, BAUD_CODES)):
        speeds = ", ".join(map(str, sorted(BAUD_CODES)))
        raise SettingsError(name, "bauds must list speeds of C12.18", f"choose of {speeds}")
    name_given = str(values.get("name", ""))
    return Profile(name_given, user_id, user.encode(), frozenset(lacks), tuple(map(int, bauds)))


def read_waivers(text: str, name: str, of_network: Collection[str] = ()) -> dict[str, str]:
    """Read waivers, by check; SettingsError names what is wrong.

    ``of_network`` are the checks of a network, beside those of a line.
    """
    values = parse_toml(text, name)
    waivers = values.get("waiver", [])
    if values.keys() - {"waiver"} or not isinstance(waivers, list):
        raise SettingsError(name, "no list of waivers", 'write [[waiver]] check = "D45" reason = …')
    known = {each.name for each in all_checks()}.union(of_network)
    found: dict[str, str] = {}
    for each in waivers:
        check, reason = (
            (each.get("check"), each.get("reason")) if isinstance(each, dict) else (0, 0)
        )
        if not isinstance(check, str) or check not in known:
            raise SettingsError(name, f"{check!r} is no check", "see conformance PORT --plan")
        if not isinstance(reason, str) or not 0 < len(reason) <= MAX_REASON:
            raise SettingsError(name, f"the waiver of {check} has no reason", "give one")
        found[check] = reason
    return found

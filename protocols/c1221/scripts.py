"""What a client does in a call, as scripts (see ``c1218.scripts``).

::

    Identify, Timing Setup, Negotiate, Logon, Authenticate and/or Security … Logoff, Disconnect
"""

from __future__ import annotations

import hmac

from protocols.c1218.scripts import LogonSettings, Opened, Padding, asked, prove
from protocols.c1218.steps import Script
from protocols.c1218.transfer import check
from protocols.c1221.authentication import BLOCK_OCTETS, proof
from protocols.c1221.profile import AUTHENTICATES, DES
from protocols.errors import LinkError, LocalProtocolError, RemoteProtocolError
from protocols.psem.codes import ResponseCode
from protocols.psem.identification import Identification, parse_identification
from protocols.psem.services import (
    Authenticate,
    Disconnect,
    Identify,
    Logoff,
    Logon,
    Negotiate,
    Terminate,
    TimingSetup,
)
from protocols.quirks import Quirk, Quirks

DEFAULT_SETUP = TimingSetup(traffic_s=30, inter_character_s=1, response_s=4, retries=3)


class NotGenuine(RemoteProtocolError):
    """The device could not prove the key: it is not the one that was meant."""


def open_call(
    settings: LogonSettings,
    quirks: Quirks | None = None,
    key: tuple[int, bytes] | None = None,
    timing: TimingSetup = DEFAULT_SETUP,
) -> Script[Opened]:
    """Open a session in a call, with a key (its id and octets) and/or the password.

    A device that cannot prove the key is told Terminate, and NotGenuine is raised; a proof
    that was refused is not tried again with the same ticket.
    """
    quirks = quirks or Quirks()
    response = yield Identify()
    if response.code == ResponseCode.isss:
        quirks.note(Quirk.SESSION_OPEN)
        yield Terminate()
        response = yield from asked(Identify())
    identification = check(Identify(), response).data
    # Its features tell of keys alone: who has none does without what cannot be read of them.
    device = parse_identification(identification) if key is not None else Identification()
    for request in (timing, Negotiate(settings.packet_octets, settings.packets)):
        response = yield request
        if response.code == ResponseCode.sns:
            quirks.note(Quirk.SERVICE_MISSING)
    logon = Logon(settings.user_id, settings.user)
    check(logon, (yield from asked(logon)))
    proved = accepted = None
    if key is not None:
        proved = yield from authenticate(*key, device)
    if settings.password is not None:
        accepted = yield from prove(settings.password, Padding.AUTO, quirks)
    key_unused = key is not None and proved is None
    return Opened(identification, accepted, proved, key_unused)


def authenticate(key_id: int, key: bytes, device: Identification) -> Script[bool | None]:
    """Prove the key, and have the device prove it; None where it announces no such service."""
    if not (device.auth_type or 0) & AUTHENTICATES or device.ticket is None:
        return None
    if device.auth_algorithm != DES or len(device.ticket) != BLOCK_OCTETS:
        raise LocalProtocolError(
            f"the device wants algorithm {device.auth_algorithm} with a ticket of "
            f"{len(device.ticket)} octets; DES with 8 is known here"
        )
    block = proof(key, device.ticket)
    response = yield from asked(Authenticate(key_id, block))
    if response.code == ResponseCode.bsy:
        check(Authenticate(key_id, block), response)
    if not response.ok:
        return False
    wanted = bytes((1 + BLOCK_OCTETS, key_id)) + proof(key, block)
    if not hmac.compare_digest(response.data, wanted):
        yield Terminate()
        raise NotGenuine("the device does not prove the key: it is not genuine")
    return True


def close_call(quirks: Quirks | None = None) -> Script[None]:
    """Logoff and Disconnect, whatever the device says to them; then the line is hung up."""
    quirks = quirks or Quirks()
    try:
        response = yield Logoff()
        if not response.ok:
            quirks.note(Quirk.LOGOFF_IGNORED)
        yield Disconnect()
    except LinkError:
        quirks.note(Quirk.TERMINATE_IGNORED)

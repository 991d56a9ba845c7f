"""What a message of a capture says, also by those before it.

An answer is read by its request, a message without a security element by that of its session's
logon, or else of the request that it answers, and the last segment of a message gives the whole.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from protocols.c1222.ap_title import ApTitle, Arcs
from protocols.c1222.envelope import Apdu, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.segmentation import Joiner, SegmentRefused
from smartmeter.cli.captured_streams import MAX_APDU_OCTETS
from smartmeter.cli.frame_c1222 import FrameContext, decode_frame, titles_between
from smartmeter.cli.frame_error import FrameError

#: Requests whose answers may still come, and sessions.
MAX_OPEN = 65_536
#: What is wrong with an answer that is covered by the key id and IV of its request.
_COVERED_OTHERWISE = ("security-element-missing", "mac-mismatch")


@dataclass(frozen=True)
class _Asked:
    """A request: its services, and the key id and IV that it bore."""

    services: list[str]
    security: tuple[int, bytes] | None


class CapturedTalk:
    """The messages of one capture, in their order."""

    def __init__(self, context: FrameContext) -> None:
        self._context = context
        #: What was asked, by the titles of who asked and was asked, and the invocation id.  In
        #: sessions a host counts from 0 with each node; a group is answered by others' titles.
        self._asked: OrderedDict[tuple[Arcs, Arcs | None, int], _Asked] = OrderedDict()
        #: Key id and IV of the newest logon between two titles.
        self._sessions: OrderedDict[frozenset[Arcs], tuple[int, bytes]] = OrderedDict()
        self._joiner = Joiner(MAX_APDU_OCTETS)

    def shown(self, octets: bytes, utc_us: int) -> dict[str, Any]:
        """Give an APDU as ``decode frame`` does; ``whole`` is the message that it completes."""
        told: dict[str, Any] = {"ok": True, "hex": octets.hex()}
        try:
            told["decoded"] = self._decoded(octets)
        except FrameError as error:
            detail = {"detail": error.detail} if error.detail else {}
            return told | {"ok": False, "reason": error.reason} | detail
        apdu = decode_apdu(octets)
        whole = self._whole(apdu, utc_us) if apdu.is_segment else None
        return told | ({"whole": self.shown(whole, utc_us)} if whole is not None else {})

    def _decoded(self, octets: bytes) -> dict[str, Any]:
        context = self._context
        pair = titles_between(octets, context.base)
        if context.session is None and pair in self._sessions:
            context = replace(context, session=self._sessions[pair])
        asked = self._request_of(octets)
        if asked is not None and asked.services:
            context = replace(context, in_reply_to=asked.services)
        try:
            decoded = decode_frame(octets, context)
        except FrameError as error:
            own = asked.security if asked is not None and self._context.session is None else None
            if own is None or error.reason not in _COVERED_OTHERWISE:
                raise
            decoded = decode_frame(octets, replace(context, session=own))
        if "called_ap_invocation_id" not in decoded:
            self._ask(decoded, pair)
        return decoded

    def _request_of(self, octets: bytes) -> _Asked | None:
        """Give what a message answers, if that was seen."""
        try:
            apdu = decode_apdu(octets)
        except ApduRejected:
            return None
        answers = apdu.called_invocation_id
        if answers is None:
            return None
        by, to = self._based(apdu.calling), self._based(apdu.called)
        return self._asked.get((to, by, answers)) or self._asked.get((to, None, answers))

    def _ask(self, decoded: dict[str, Any], pair: frozenset[Arcs]) -> None:
        services = [one.get("service", "") for one in decoded.get("services", [])]
        security = (decoded["key_id"], bytes.fromhex(decoded["iv"])) if "iv" in decoded else None
        by, to = self._ends(decoded)
        for asked in (to, None):
            self._asked[by, asked, decoded["calling_ap_invocation_id"]] = _Asked(services, security)
        if "logon" in services and security is not None:
            self._sessions[pair] = security
        while len(self._asked) > MAX_OPEN:
            self._asked.popitem(last=False)
        while len(self._sessions) > MAX_OPEN:
            self._sessions.popitem(last=False)

    def _ends(self, decoded: dict[str, Any]) -> tuple[Arcs, Arcs]:
        """Give calling and called title (none: empty) in one form, whichever they came in."""
        texts = (decoded.get("calling_ap_title"), decoded.get("called_ap_title"))
        by, to = (self._based(ApTitle.parse(one) if one is not None else None) for one in texts)
        return by, to

    def _based(self, title: ApTitle | None) -> Arcs:
        return title.based(self._context.base) if title is not None else ()

    def _whole(self, apdu: Apdu, utc_us: int) -> bytes | None:
        try:
            return self._joiner.offer(apdu, utc_us)
        except SegmentRefused:
            return None  # its receiver says so, in the capture

"""What a message of a capture says, also by those before it.

An answer is read by its request, a message of a session without a security element by that of
its logon, and the last segment of a message gives the whole.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import Apdu, decode_apdu
from protocols.c1222.segmentation import Joiner, SegmentRefused
from smartmeter.cli.captured_streams import MAX_APDU_OCTETS
from smartmeter.cli.frame_c1222 import FrameContext, decode_frame, titles_between
from smartmeter.cli.frame_error import FrameError

#: Requests whose answers may still come, and sessions.
MAX_OPEN = 65_536
_Title = tuple[int, ...]


class CapturedTalk:
    """The messages of one capture, in their order."""

    def __init__(self, context: FrameContext) -> None:
        self._context = context
        #: What was asked, by the titles of who asked and was asked, and the invocation id.  In
        #: sessions a host counts from 0 with each node; a group is answered by others' titles.
        self._asked: OrderedDict[tuple[_Title, _Title | None, int], list[str]] = OrderedDict()
        #: Key id and IV of the newest logon between two titles.
        self._sessions: OrderedDict[frozenset[_Title], tuple[int, bytes]] = OrderedDict()
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
        decoded = decode_frame(octets, context)
        answers = decoded.get("called_ap_invocation_id")
        if answers is None:
            self._ask(decoded, pair)
            return decoded
        by, to = self._ends(decoded)
        asked = self._asked.get((to, by, answers)) or self._asked.get((to, None, answers))
        return decode_frame(octets, replace(context, in_reply_to=asked)) if asked else decoded

    def _ask(self, decoded: dict[str, Any], pair: frozenset[_Title]) -> None:
        services = [one.get("service", "") for one in decoded.get("services", [])]
        by, to = self._ends(decoded)
        for asked in (to, None):
            self._asked[by, asked, decoded["calling_ap_invocation_id"]] = services
        if "logon" in services and "iv" in decoded:
            self._sessions[pair] = decoded["key_id"], bytes.fromhex(decoded["iv"])
        while len(self._asked) > MAX_OPEN:
            self._asked.popitem(last=False)
        while len(self._sessions) > MAX_OPEN:
            self._sessions.popitem(last=False)

    def _ends(self, decoded: dict[str, Any]) -> tuple[_Title, _Title]:
        """Give calling and called title (none: empty) in one form, whichever they came in."""
        texts = (decoded.get("calling_ap_title"), decoded.get("called_ap_title"))
        base = self._context.base
        by, to = (ApTitle.parse(text).based(base) if text is not None else () for text in texts)
        return by, to

    def _whole(self, apdu: Apdu, utc_us: int) -> bytes | None:
        try:
            return self._joiner.offer(apdu, utc_us)
        except SegmentRefused:
            return None  # its receiver says so, in the capture

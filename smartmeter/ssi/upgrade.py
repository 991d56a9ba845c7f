"""The upgrade of a module: a signed image in resumable pieces, two slots, a trial, a way back.

A machine without a network: offers, pieces and commands come in, answers and
what to do next come out.  Whatever it answered ``ok`` to is durable, each step
one commit; a power cut between any two leaves a slot to start from and a state
to go on from.  A manifest is judged before memory is taken for its image.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.ssi_layouts import MAX_IMAGE_OCTETS, PIECE_OCTETS
from ansi_tables.ssi_tables import SsiTable, UpgradeResult, UpgradeState
from protocols.machine import Event
from smartmeter.base import signing
from smartmeter.base.nvram import Nvram
from smartmeter.ssi import boot as slots
from smartmeter.ssi.boot import MAX_UNPACKED_OCTETS, Boot

UPGRADE_PAGE = "upgrade"
#: The model of a module inside its meter; an image for another is refused.
MODEL = "SmartMeter SSI"
#: A version on trial must reach its TMS within so long, or the old one is started again.
TRIAL_US = 15 * 60 * 1_000_000
#: What a version begins with (PEP 440), and the stages of one, from the oldest.
_VERSION = re.compile(
    r"([0-9]+(?:\.[0-9]+)*)(?:(a|b|rc)([0-9]+))?(?:\.post([0-9]+))?(?:\.dev([0-9]+))?"
)
_STAGES = ("dev", "a", "b", "rc", "release")
#: What the status tells of the image while there is none.
_NO_MANIFEST = {"VERSION": "", "IMAGE_DIGEST": bytes(32), "IMAGE_OCTETS": 0}


@dataclass(frozen=True)
class RestartWanted(Event):
    """The module is to be started anew: another slot holds what is to run."""


@dataclass(frozen=True)
class Program:
    """What runs: ``boot`` is what the boot loader decided at this start."""

    boot: Boot = field(default_factory=Boot)
    model: str = MODEL
    trial_us: int = TRIAL_US


@dataclass
class _Progress:
    state: int = UpgradeState.IDLE
    result: int = UpgradeResult.NONE
    manifest: str = ""
    received: int = 0
    activation_s: int = 0
    told: bool = True


class Upgrade:
    """One module's upgrade.

    ``damaged`` tells that what was kept could not be read: an image that came in is forgotten.
    """

    def __init__(self, nvram: Nvram, public_key: bytes, program: Program, now_us: int) -> None:
        self._nvram, self._key = nvram, public_key
        self.boot, self.model = program.boot, program.model
        self.damaged = False
        try:
            held = json.loads(nvram.get(UPGRADE_PAGE) or b"{}")
            known = {one.name: held[one.name] for one in fields(_Progress) if one.name in held}
            self._progress = _Progress(**known)
            UpgradeState(self._progress.state), UpgradeResult(self._progress.result)
            bytes.fromhex(self._progress.manifest)
        except (ValueError, TypeError):
            self.damaged, self._progress = True, _Progress()
        self._trial_until_us = now_us + program.trial_us if self.boot.trial else None
        ended = self._progress.state == UpgradeState.TRIAL or self.boot.result
        if ended and not self.boot.trial:
            # The trial has ended while the module was not running, or by its boot loader.
            result = UpgradeResult(self.boot.result or UpgradeResult.CONFIRMED)
            self.boot = replace(self.boot, result=UpgradeResult.NONE)
            self._end(result, self.boot)

    @property
    def news(self) -> UpgradeResult | None:
        """Give the outcome of an upgrade that nobody was told of yet."""
        return None if self._progress.told else UpgradeResult(self._progress.result)

    def news_told(self, also: Mapping[str, bytes | None]) -> None:
        """Somebody is told, by other pages in this commit."""
        self._progress.told = True
        self._nvram.commit({**also, **self._page()})

    @property
    def on_trial(self) -> bool:
        """Tell whether this version has yet to reach its TMS."""
        return self._trial_until_us is not None

    @property
    def _other_slot(self) -> int:
        return 1 - self.boot.slot

    def _manifest(self) -> dict[str, Any] | None:
        if not self._progress.manifest:
            return None
        return ssi_tables.decode(SsiTable.UPGRADE_MANIFEST, bytes.fromhex(self._progress.manifest))

    def status(self) -> dict[str, Any]:
        """Give UPGRADE_STATUS."""
        manifest, progress = self._manifest() or _NO_MANIFEST, self._progress
        return {
            "STATE": progress.state,
            "RESULT": progress.result,
            "RUNNING_VERSION": self.boot.version,
            "RUNNING_SLOT": self.boot.slot,
            "IMAGE_VERSION": manifest["VERSION"],
            "IMAGE_DIGEST": manifest["IMAGE_DIGEST"],
            "IMAGE_OCTETS": manifest["IMAGE_OCTETS"],
            "RECEIVED_OCTETS": progress.received,
            "ACTIVATION_TIME": progress.activation_s,
        }

    # What the network asks.

    def offer(self, image: bytes) -> bool:
        """Take a manifest; False, with the reason in the status, when it is refused.

        The one that is being received already goes on where it stands.
        """
        try:
            manifest = ssi_tables.decode(SsiTable.UPGRADE_MANIFEST, image)
        except TableError:
            return False
        if self.on_trial:
            return False
        fault = self._fault(manifest, image)
        if fault is not None:
            self._progress.result = fault
            self._nvram.commit(self._page())
            return False
        if image.hex() != self._progress.manifest:
            self._progress = _Progress(UpgradeState.RECEIVING, manifest=image.hex())
            self._nvram.commit({**slots.erased(self._nvram, self._other_slot), **self._page()})
        return True

    def _fault(self, manifest: dict[str, Any], image: bytes) -> UpgradeResult | None:
        signed = image[: -signing.SIGNATURE_OCTETS]
        if not self._key:
            return UpgradeResult.NO_KEY
        if not signing.verify(self._key, manifest["SIGNATURE"], signed):
            return UpgradeResult.WRONG_SIGNATURE
        if manifest["MODEL"] != self.model:
            return UpgradeResult.WRONG_MODEL
        if version_order(manifest["VERSION"]) <= version_order(self.boot.version):
            return UpgradeResult.NOT_NEWER
        sizes = manifest["IMAGE_OCTETS"], manifest["UNPACKED_OCTETS"]
        if not 0 < sizes[0] <= MAX_IMAGE_OCTETS or sizes[1] > MAX_UNPACKED_OCTETS:
            return UpgradeResult.TOO_LARGE
        return None

    def piece(self, offset: int, octets: bytes) -> bool:
        """Take a piece; pieces follow each other, each of 1,024 octets but the last.

        A piece that was taken already is taken again; one that comes too early
        is refused, and the status says where to go on.
        """
        manifest, progress = self._manifest(), self._progress
        if manifest is None or progress.state not in (
            UpgradeState.RECEIVING,
            UpgradeState.VERIFIED,
        ):
            return False
        length = min(PIECE_OCTETS, manifest["IMAGE_OCTETS"] - offset)
        if offset % PIECE_OCTETS or len(octets) != length or offset > progress.received:
            return False
        if offset < progress.received:
            return True
        progress.received += length
        name = slots.piece_name(self._other_slot, offset // PIECE_OCTETS)
        changes: dict[str, bytes | None] = {name: octets}
        if progress.received == manifest["IMAGE_OCTETS"]:
            self._complete(manifest, octets, changes)
        self._nvram.commit({**changes, **self._page()})
        return True

    def _complete(
        self, manifest: dict[str, Any], last: bytes, changes: dict[str, bytes | None]
    ) -> None:
        whole = hashlib.sha256()
        for held in slots.pieces(self._nvram, self._other_slot, manifest["IMAGE_OCTETS"]):
            whole.update(held)
        whole.update(last)
        if whole.digest() == manifest["IMAGE_DIGEST"]:
            self._progress.state = UpgradeState.VERIFIED
            return
        self._progress = _Progress(result=UpgradeResult.DIGEST_DIFFERS)
        changes |= {**slots.erased(self._nvram, self._other_slot), **dict.fromkeys(changes)}

    def activate(self, digest: bytes, at_s: int) -> bool:
        """Set when the verified image is to be started (0: at once); False when there is none."""
        manifest, progress = self._manifest(), self._progress
        ready = progress.state in (UpgradeState.VERIFIED, UpgradeState.SCHEDULED)
        if manifest is None or not ready or manifest["IMAGE_DIGEST"] != digest:
            return False
        progress.state, progress.activation_s = UpgradeState.SCHEDULED, at_s
        self._nvram.commit(self._page())
        return True

    def cancel(self) -> bool:
        """Forget an image that is not started yet."""
        if self._progress.state in (UpgradeState.IDLE, UpgradeState.TRIAL):
            return False
        self._progress = _Progress(result=UpgradeResult.CANCELLED)
        self._nvram.commit({**slots.erased(self._nvram, self._other_slot), **self._page()})
        return True

    # What time brings.

    def due_s(self) -> int | None:
        """Give the UTC second of the activation, or None."""
        scheduled = self._progress.state == UpgradeState.SCHEDULED
        return self._progress.activation_s if scheduled else None

    def start_due(self, utc_s: int) -> bool:
        """Switch slots when it is time; True when the module is to be started anew."""
        due_s = self.due_s()
        if due_s is None or utc_s < due_s:
            return False
        manifest = self._manifest()
        if manifest is None:
            return False
        self._progress.state = UpgradeState.TRIAL
        following = Boot(
            slot=self._other_slot,
            version=manifest["VERSION"],
            trial=True,
            digest=manifest["IMAGE_DIGEST"].hex(),
            octets=manifest["IMAGE_OCTETS"],
            unpacked_octets=manifest["UNPACKED_OCTETS"],
            old_slot=self.boot.slot,
            old_version=self.boot.version,
        )
        self._nvram.commit({**following.page(), **self._page()})
        return True

    def deadline_us(self) -> int | None:
        """Give when the trial is over."""
        return self._trial_until_us

    def reached(self) -> None:
        """The version on trial has reached its TMS: it stays."""
        if not self.on_trial:
            return
        self._trial_until_us = None
        self.boot = Boot(self.boot.slot, self.boot.version)
        self._end(UpgradeResult.CONFIRMED, self.boot)

    def trial_over(self, result: UpgradeResult) -> None:
        """The version on trial failed: the old slot is started again."""
        self._trial_until_us = None
        self._end(result, self.boot.back(UpgradeResult.NONE))

    def _end(self, result: UpgradeResult, boot: Boot) -> None:
        """Keep the outcome and what is to run; the slot that does not run is empty from now on."""
        self._progress = _Progress(result=result, told=False)
        other = slots.erased(self._nvram, 1 - boot.slot)
        self._nvram.commit({**boot.page(), **other, **self._page()})

    def _page(self) -> dict[str, bytes | None]:
        return {UPGRADE_PAGE: json.dumps(asdict(self._progress)).encode()}


def version_order(version: str) -> tuple[Any, ...]:
    """Give a version as values that compare: "1.10" is newer than "1.9", "1.9.0" is "1.9".

    Before it come its "dev", "a", "b" and "rc", behind it its "post": who tries "1.10rc1" can go
    on to "1.10", and not back to "1.9".  What is no number at all is older than any.
    """
    found = _VERSION.match(version)
    if found is None:
        return ()
    release, stage, number, post, dev = found.groups()
    numbers = [int(part) for part in release.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    stage = stage or ("dev" if dev and not post else "release")
    # A "dev" of a stage or of a "post" comes before what it is to become.
    after = (int(number or 0), -1 if post is None else int(post), dev is None, int(dev or 0))
    return (tuple(numbers), _STAGES.index(stage), *after)

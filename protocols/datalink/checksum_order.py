"""Which octet of a checksum a device has first: low, as in the standard, or high (Q23)."""

from __future__ import annotations

from protocols.quirks import Quirk, Quirks


class ChecksumOrder:
    """Learns the order from packets that come, and from a trial where all of ours are refused.

    ``swapped``: the high octet is first.
    """

    # A street has one for each of very many meters.
    __slots__ = ("_is_known", "_quirks", "_tries_other", "swapped")

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self.swapped = Quirk.CRC_SWAPPED in quirks.assume
        # The device has sent a packet, or acknowledged one of ours.
        self._is_known = False
        # The packet that is under way went out in the other order.
        self._tries_other = False

    @property
    def sends_swapped(self) -> bool:
        """Tell whether the packet that is under way is sent with the high octet first."""
        return self.swapped != self._tries_other

    def packet_begins(self) -> None:
        """Note that another packet of ours goes out."""
        self._tries_other = False

    def sent_again(self, is_strange: bool) -> None:
        """Our packet goes out once more: in the other order, where its refusal is strange."""
        tries = is_strange and not self._is_known
        self._tries_other = tries and self._quirks.tolerates(Quirk.CRC_SWAPPED)

    def acknowledged(self) -> None:
        """Note that the device has taken our packet."""
        self._is_known = True
        if self._tries_other:
            self._swap()

    def accepts(self, swapped: bool | None) -> bool:
        """Tell whether a packet whose checksum came so may be taken; None: it is right in either.

        Where the other order is tolerated, it is the device's from now on.
        """
        if swapped in (None, self.swapped):
            return True
        if not self._quirks.tolerates(Quirk.CRC_SWAPPED):
            return False
        self._swap()
        return True

    def packet_taken(self) -> None:
        """Note that a packet of the device was taken."""
        self._is_known = True

    def doubt(self) -> None:
        """The device that answers next may be another one."""
        self._is_known = False

    def _swap(self) -> None:
        self.swapped = not self.swapped
        if self.swapped:
            self._quirks.note(Quirk.CRC_SWAPPED)
        else:
            self._quirks.forget(Quirk.CRC_SWAPPED)

"""What an answer shows of who asked: whose title is behind the path that the request came by.

Anybody may write another's title into a request.  Only who has the key is answered secured, and
only who was registered is granted a title.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.c1222.addressing import answers_for
from protocols.c1222.answers_due import Asked
from protocols.c1222.ap_title import ApTitle, absolute
from protocols.c1222.envelope import Apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.in_clear import asks_for, granted_title
from protocols.c1222.registration import REGISTER
from protocols.c1222.routes import Spoken
from protocols.c1222.security import CLEAR, check_control


@dataclass(frozen=True)
class Shown:
    """A title, ``proven`` if the answer was secured; ``spoken`` then tells when that was made."""

    title: ApTitle
    proven: bool
    spoken: Spoken | None = None


def shown_by(answer: Apdu, asked: Asked) -> Shown | None:
    """Give what the answer to a request shows; None where anybody could have got it."""
    if not answers_for(asked.apdu.called, answer.calling):
        return None  # it comes from somebody who was not asked
    try:
        mode = check_control(answer.user_information[0])
    except ApduRejected:
        return None
    if mode < asked.mode:
        return None
    if mode == CLEAR:
        granted = granted_title(answer) if asks_for(asked.apdu, REGISTER) else None
        return None if granted is None else Shown(granted, False)
    title = asked.apdu.calling or answer.called
    if title is None:
        return None
    spoken = None
    if answer.iv is not None:
        spoken = Spoken(absolute(answer.calling), answer.iv, answer.calling_invocation_id)
    return Shown(title, True, spoken)

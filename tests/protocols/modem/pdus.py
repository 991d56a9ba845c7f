"""Short messages as a modem gives them."""


def as_delivered(pdu: str, sender: str = "+15551234567") -> str:
    """What the network makes of a submitted PDU: with a sender, and the time of the centre."""
    octets = bytes.fromhex(pdu)
    digits = octets[3]
    body = octets[5 + (digits + 1) // 2 :]
    number = sender.lstrip("+") + "F" * (len(sender.lstrip("+")) % 2)
    swapped = bytes(int(number[n + 1] + number[n], 16) for n in range(0, len(number), 2))
    head = bytes((0, octets[1] & 0x40 | 4, len(sender.lstrip("+")), 0x91)) + swapped
    return (head + body[:2] + bytes(7) + body[2:]).hex()

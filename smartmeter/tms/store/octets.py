"""Octets as they stand in a row."""

from __future__ import annotations


def octets_of(value: object) -> bytes:
    """Give a value that was stored as octets; TypeError where a damaged database has another.

    ``bytes`` of a number would be as many zeros: of a time, gigabytes.
    """
    if isinstance(value, bytes):
        return value
    raise TypeError(f"a {type(value).__name__} stands where octets were stored")

"""Exact scaling: a raw number of a table to a number of a unit, never through binary floats."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

from ansi_tables.numbers import MAX_EXPONENT, RawNumber

#: What a table's number decodes to; ``float`` only where ST-00 declares FLOAT32 or FLOAT64.
Raw: TypeAlias = int | Decimal | float | RawNumber
#: An exact value: Decimal, or Fraction where the scale itself is no finite decimal.
Exact: TypeAlias = Decimal | Fraction

#: Wide enough for any FLOAT64 times constants; a result that were not exact would raise.
_EXACT = Context(prec=4000, traps=[Inexact])


def as_fraction(raw: Raw) -> Fraction | None:
    """Give a raw number as an exact fraction; None for what is no number.

    >>> as_fraction(0.5)
    Fraction(1, 2)
    """
    return None if isinstance(raw, RawNumber) or not _is_sane(raw) else Fraction(raw)


def _is_sane(raw: int | Decimal | float) -> bool:
    """Tell whether a number is finite and no text like 1E999999999, which would fill memory."""
    number = Decimal(raw)
    return number.is_finite() and abs(number.adjusted()) <= MAX_EXPONENT


def finite_decimal(value: Fraction) -> Decimal | None:
    """Give a fraction as an exact Decimal, or None when it has no end (1/3)."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return None
    places = max(twos, fives)
    digits = value.numerator * 10**places // value.denominator
    return Decimal(digits).scaleb(-places, _EXACT)


@dataclass(frozen=True)
class Scale:
    """``value = raw * factor + offset``, exactly.

    >>> Scale(Fraction(1, 100)).value(23041)
    Decimal('230.41')
    """

    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    @cached_property
    def _decimals(self) -> tuple[Decimal, Decimal] | None:
        factor, offset = finite_decimal(self.factor), finite_decimal(self.offset)
        return None if factor is None or offset is None else (factor, offset)

    def value(self, raw: Raw) -> Exact | None:
        """Give the value: a Decimal, or a Fraction for a scale like 1/3; None for no number."""
        if isinstance(raw, RawNumber):
            return None
        if self._decimals is None:
            number = as_fraction(raw)
            return None if number is None else number * self.factor + self.offset
        factor, offset = self._decimals
        if not isinstance(raw, int) and not _is_sane(raw):
            return None
        product = _EXACT.multiply(Decimal(raw), factor)
        return _EXACT.add(product, offset) if offset else product

    def times(self, factor: Fraction) -> Scale:
        """Give the scale for a raw number that must first be multiplied by ``factor``."""
        return Scale(self.factor * factor, self.offset)


def digits(value: Exact) -> str:
    """Give an exact value in digits, without an exponent: "19.825", or "1000/3"."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)

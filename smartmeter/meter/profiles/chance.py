"""What a seed decides of a drawn device."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any


class Chance(Random):
    """A seeded generator with the questions that are asked of it."""

    def yes(self, percent: int = 50) -> bool:
        """Tell whether something is so, in so many cases of a hundred."""
        return self.randrange(100) < percent

    def some(self, names: Sequence[Any], percent: int = 50) -> tuple[Any, ...]:
        """Give those that are so, each in so many cases of a hundred."""
        return tuple(name for name in names if self.yes(percent))

    def pick(self, numbers: Sequence[int], most: int) -> list[int]:
        """Give up to ``most`` of some numbers, repeats allowed, none when there are none."""
        count = self.randint(0, most) if numbers else 0
        return [self.choice(list(numbers)) for _ in range(count)]

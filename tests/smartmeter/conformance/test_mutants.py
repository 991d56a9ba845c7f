"""The bench catches wrong devices: mutants of our own, made by a program."""

from random import Random

import pytest

from tests.smartmeter.conformance import mutants
from tests.smartmeter.conformance.survivors import SURVIVORS
from tests.smartmeter.meter.sessions import MEASURED

#: How many are tried by ``make test``; the night tries all.
SHARE, SEED = 12, 20_261_125


def pages() -> dict[str, bytes]:
    return {name: MEASURED.get(name) or b"" for name in MEASURED.names()}


def test_a_share_of_the_mutants_is_caught() -> None:
    memory = pages()
    made = mutants.all_mutants(memory)
    assert len(made) >= 300
    chosen = mutants.passing_plan(memory)
    share = Random(SEED).sample([m for m in made if m.name not in SURVIVORS], SHARE)
    caught = {mutant.name: mutants.caught_by(mutant, memory, chosen) for mutant in share}
    missed = [name for name, check in caught.items() if check is None]
    assert len(missed) <= SHARE // 4, missed  # a small share of all, of which 5 % may survive


@pytest.mark.night
def test_of_all_mutants_ninety_five_in_a_hundred_are_caught() -> None:
    memory = pages()
    made = mutants.all_mutants(memory)
    chosen = mutants.passing_plan(memory)
    survivors = [m.name for m in made if mutants.caught_by(m, memory, chosen) is None]
    caught = len(made) - len(survivors)
    print(f"\n{len(made)} mutants, {caught} caught: {100 * caught / len(made):.1f} %")
    for name in survivors:
        print(f"survives: {name}  ({SURVIVORS.get(name, 'no reason is known')})")
    assert caught >= 0.95 * len(made), survivors


@pytest.mark.night
def test_every_row_of_the_session_table_is_held_by_a_check() -> None:
    memory = pages()
    chosen = mutants.passing_plan(memory)
    rows = [m for m in mutants.session_rows() if m.name not in SURVIVORS]
    missed = [m.name for m in rows if mutants.caught_by(m, memory, chosen) is None]
    assert missed == []

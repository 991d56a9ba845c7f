"""The bench catches wrong devices: mutants of our own, made by a program."""

from random import Random

import pytest

from tests.smartmeter.conformance import mutants
from tests.smartmeter.conformance.survivors import SURVIVORS
from tests.smartmeter.meter.sessions import MEASURED

#: How many are tried by ``make test``; the night tries all.
SHARE, SEED = 8, 20_261_125


def pages() -> dict[str, bytes]:
    return {name: MEASURED.get(name) or b"" for name in MEASURED.names()}


def test_a_share_of_the_mutants_is_caught() -> None:
    memory = pages()
    made = mutants.all_mutants(memory)
    assert len(made) >= 300
    subjects = mutants.all_subjects(memory)
    share = Random(SEED).sample([m for m in made if m.name not in SURVIVORS], SHARE)
    caught = {mutant.name: mutants.caught_by(mutant, subjects) for mutant in share}
    assert [name for name, check in caught.items() if check is None] == []


@pytest.mark.night
def test_of_all_mutants_ninety_five_in_a_hundred_are_caught_and_each_check_catches_one() -> None:
    memory = pages()
    made = mutants.all_mutants(memory)
    subjects = mutants.all_subjects(memory)
    survivors, useful = [], set()
    for mutant in made:
        caught = {check for subject in subjects for check in mutants.catches(mutant, subject)}
        useful |= caught
        survivors += [] if caught else [mutant.name]
    caught_share = 1 - len(survivors) / len(made)
    print(f"\n{len(made)} mutants, {len(survivors)} survive: {100 * caught_share:.1f} % caught")
    for name in survivors:
        print(f"survives: {name}  ({SURVIVORS.get(name, 'no reason is known')})")
    idle = {each.name for subject in subjects for each in subject.passes.checks} - useful
    assert caught_share >= 0.95, survivors
    assert set(survivors) <= set(SURVIVORS)
    assert set(SURVIVORS) <= set(survivors), "a reason is given for what is caught"
    assert idle == set(), "checks that no mutant fails"


@pytest.mark.night
def test_every_row_of_the_session_table_is_held_by_a_check() -> None:
    subjects = mutants.all_subjects(pages())
    rows = [m for m in mutants.session_rows() if m.name not in SURVIVORS]
    missed = [m.name for m in rows if mutants.caught_by(m, subjects) is None]
    assert missed == []

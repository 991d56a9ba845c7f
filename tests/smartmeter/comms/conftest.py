"""What the tests of the bearers share."""

from collections.abc import Iterator

import pytest

from tests.smartmeter.comms.far_ends import Modems


@pytest.fixture
def modems() -> Iterator[Modems]:
    made = Modems()
    yield made
    made.close()

"""The same as `tests/test_restart.py`, three layers deep."""

import pytest

from tests.restart import check
from tests.zoo import ZOO

pytestmark = pytest.mark.usefixtures("strict")


@pytest.mark.parametrize("name", ZOO)
def test_gradients_equal_those_of_a_restart(name):
    check(name, depth=3)

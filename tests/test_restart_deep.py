"""The same as `tests/test_restart.py`, three layers deep, for one cell of each form:
how layers pass gradients on does not depend on what is inside a step."""

import pytest

from tests.restart import check
from tests.zoo import OF_EACH_FORM

pytestmark = pytest.mark.usefixtures("strict")


@pytest.mark.parametrize("name", OF_EACH_FORM)
def test_gradients_equal_those_of_a_restart(name):
    check(name, depth=3)

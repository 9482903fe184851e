"""∂L/∂state_t of every cell against starting again at state_t."""

import pytest

from tests.restart import check
from tests.zoo import OF_EACH_FORM

pytestmark = pytest.mark.usefixtures("strict")


@pytest.mark.parametrize("name", OF_EACH_FORM)
def test_gradients_equal_those_of_a_restart(name):
    check(name, depth=1)

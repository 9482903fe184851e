"""Initial leaves and training steps are those of before there were `Layer`s."""

import numpy as np
import pytest

from tests.steps import MODELS, OPTIMS, PATH, case


@pytest.mark.parametrize("name", [*MODELS, *OPTIMS])
def test_initial_leaves_and_two_steps(name):
    with np.load(PATH, allow_pickle=False) as stored:
        golden = {k: stored[k] for k in stored.files if k.startswith(f"{name}/")}
    found = case(name)
    assert list(found) == list(golden)
    for key, value in found.items():
        if "/init/" in key:
            np.testing.assert_array_equal(value, golden[key], key)
        np.testing.assert_allclose(value, golden[key], 2e-5, 1e-6, err_msg=key)

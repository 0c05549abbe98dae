"""What a policy may say, the additive backend can do."""

from __future__ import annotations

import numpy as np
import pytest

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet, encryption
from quatrefoil.contracts import SumShape
from quatrefoil.policy import CLIP_RANGE, MOST_SILOS, PARAMETER_SETS, VALUE_BITS


def test_clip_bounds_and_rosters_of_policies_fit() -> None:
    assert CLIP_RANGE == encryption.CLIP_RANGE
    sets = {bits: ParameterSet.named(PARAMETER_SETS[bits]) for bits in VALUE_BITS}
    assert all(sets[bits].value_bits == bits for bits in VALUE_BITS)
    assert max(parameters.max_silos for parameters in sets.values()) == MOST_SILOS


@pytest.mark.parametrize("bits", VALUE_BITS)
@pytest.mark.parametrize("clip", CLIP_RANGE)
@pytest.mark.parametrize("weight", [1.0, 2.0**-60, 5e-324])
def test_the_error_bound_holds_at_both_ends_of_the_clip_range(bits: int, clip: float, weight: float) -> None:
    backend = AdditiveAggregation(ParameterSet.named(PARAMETER_SETS[bits]))
    values = np.array([clip, -clip, clip / 3, -clip * 0.999, 0.0, 5e-324, -5e-324])
    form = SumShape(len(values), clip, bytes(32))
    one = backend.encrypt(values, weight=weight, shape=form)
    found = backend.decrypt(one.ciphertext, backend.combine_keys([one.key]), shape=form, count=1)
    assert np.abs(found.values - weight * values).max() <= found.error_bound

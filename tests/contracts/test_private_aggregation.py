"""What every backend of ``PrivateAggregation`` must do. A new backend joins by one line in ``BACKENDS``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quatrefoil.aggregation import AdditiveAggregation, CkksAggregation, CkksSumSet, ParameterSet
from quatrefoil.contracts import DealtKey, PrivateAggregation, SumShape, Threshold
from quatrefoil.errors import CiphertextRefused, ParametersRefused, PolicyInvalid, UpdateRefused
from quatrefoil.insecure import PlainAggregation

BACKENDS: dict[str, Callable[[], PrivateAggregation]] = {
    "additive-32": lambda: AdditiveAggregation(ParameterSet.named("sum-32-w12")),
    "additive-256": lambda: AdditiveAggregation(ParameterSet.named("sum-256-w16")),
    "additive-2048": lambda: AdditiveAggregation(ParameterSet.named("sum-2048-w32"), threads=2),
    "ckks": lambda: CkksAggregation(CkksSumSet.named("ckks-sum-4096")),
    "insecure-plain": lambda: PlainAggregation(accept_insecure="plain-aggregation"),
}

LENGTH, CLIP = 9_001, 0.25
FORM = SumShape(LENGTH, CLIP, b"c" * 32)
WEIGHTS = (0.5, 0.125, 1.0, 1e-6)


@pytest.fixture(params=BACKENDS, scope="module")
def backend(request: pytest.FixtureRequest) -> PrivateAggregation:
    return BACKENDS[request.param]()


def updates(kind: type = np.float64) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return [generator.uniform(-CLIP, CLIP, LENGTH).astype(kind) * kind(0.999) for _ in WEIGHTS]


def contributions(backend: PrivateAggregation, kind: type = np.float64) -> tuple[list[bytes], list[bytearray]]:
    encrypted = [backend.encrypt(u, weight=w, shape=FORM) for u, w in zip(updates(kind), WEIGHTS, strict=True)]
    return [e.ciphertext for e in encrypted], [e.key for e in encrypted]


def added(backend: PrivateAggregation, ciphertexts: list[bytes], form: SumShape) -> bytes:
    accumulator = backend.accumulator(shape=form)
    for ciphertext in ciphertexts:
        accumulator.add(ciphertext)
    return accumulator.total()


def test_it_is_a_private_aggregation(backend: PrivateAggregation) -> None:
    assert isinstance(backend, PrivateAggregation)
    scheme = backend.scheme
    assert scheme.name and len(scheme.digest) == 32 and scheme.largest_roster >= 2
    assert scheme.insecure == ("insecure" in scheme.name)
    assert backend.scheme == scheme


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_sum_is_within_its_error_bound(backend: PrivateAggregation, kind: type) -> None:
    ciphertexts, keys = contributions(backend, kind)
    total = added(backend, ciphertexts, FORM)
    decrypted = backend.decrypt(total, backend.combine_keys(keys), shape=FORM, count=len(keys))
    exact = sum(w * u.astype(np.longdouble) for u, w in zip(updates(kind), WEIGHTS, strict=True))
    assert decrypted.values.dtype == np.float64 and decrypted.values.shape == (LENGTH,)
    assert 0 < decrypted.error_bound < 2e-3 * CLIP
    assert np.abs(decrypted.values - exact).max() <= decrypted.error_bound


def test_the_order_of_adding_does_not_matter(backend: PrivateAggregation) -> None:
    ciphertexts, keys = contributions(backend)
    one = backend.decrypt(added(backend, ciphertexts, FORM), backend.combine_keys(keys), shape=FORM, count=len(keys))
    other = backend.decrypt(
        added(backend, ciphertexts[::-1], FORM), backend.combine_keys(keys[::-1]), shape=FORM, count=len(keys)
    )
    assert np.abs(one.values - other.values).max() <= one.error_bound


def test_any_subset_that_arrived_can_be_summed(backend: PrivateAggregation) -> None:
    ciphertexts, keys = contributions(backend)
    total = added(backend, [ciphertexts[2], ciphertexts[0]], FORM)
    decrypted = backend.decrypt(total, backend.combine_keys([keys[0], keys[2]]), shape=FORM, count=2)
    exact = WEIGHTS[0] * updates()[0] + WEIGHTS[2] * updates()[2]
    assert np.abs(decrypted.values - exact).max() <= decrypted.error_bound


def test_keys_have_the_stated_length_and_are_fresh(backend: PrivateAggregation) -> None:
    (first, second), keys = zip(*[_pair(backend) for _ in range(2)], strict=True)
    assert first != second and keys[0] != keys[1]
    assert all(type(key) is bytearray and len(key) == backend.scheme.key_bytes for key in keys)


def _pair(backend: PrivateAggregation) -> tuple[bytes, bytearray]:
    encrypted = backend.encrypt(updates()[0], weight=0.5, shape=FORM)
    return encrypted.ciphertext, encrypted.key


def test_the_update_is_left_as_it_was(backend: PrivateAggregation) -> None:
    update = updates()[0]
    copy = update.copy()
    update.flags.writeable = False
    backend.encrypt(update, weight=0.5, shape=FORM)
    np.testing.assert_array_equal(update, copy)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, CLIP * 1.0001, -1e300])
@pytest.mark.parametrize("index", [0, LENGTH - 1])
def test_values_that_do_not_fit_are_named(backend: PrivateAggregation, bad: float, index: int) -> None:
    update = updates()[0]
    update[index] = bad
    with pytest.raises(UpdateRefused, match=rf"value {index} is .*{CLIP}"):
        backend.encrypt(update, weight=1e-9, shape=FORM)


@pytest.mark.parametrize("weight", [5e-324, 1e-300, 1e-30])
def test_weights_next_to_zero_are_within_the_error_bound(backend: PrivateAggregation, weight: float) -> None:
    encrypted = backend.encrypt(updates()[0], weight=weight, shape=FORM)
    key = backend.combine_keys([encrypted.key])
    decrypted = backend.decrypt(encrypted.ciphertext, key, shape=FORM, count=1)
    assert np.abs(decrypted.values - weight * updates()[0]).max() <= decrypted.error_bound


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.5, np.nan, np.inf])
def test_weights_outside_zero_to_one_are_refused(backend: PrivateAggregation, weight: float) -> None:
    with pytest.raises(UpdateRefused, match="weight"):
        backend.encrypt(updates()[0], weight=weight, shape=FORM)


@pytest.mark.parametrize(
    "update", [np.zeros(LENGTH - 1), np.zeros((LENGTH, 1)), np.zeros(LENGTH, dtype=int), [0.0] * LENGTH]
)
def test_updates_of_another_kind_are_refused(backend: PrivateAggregation, update: object) -> None:
    with pytest.raises(UpdateRefused):
        backend.encrypt(update, weight=1.0, shape=FORM)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("length", "clip", "context"),
    [(0, CLIP, b"c" * 32), (LENGTH, 0.0, b"c" * 32), (LENGTH, np.inf, b"c" * 32), (LENGTH, CLIP, b"")],
)
def test_shapes_that_are_none_are_refused(
    backend: PrivateAggregation, length: int, clip: float, context: bytes
) -> None:
    form = SumShape(length, clip, context)
    with pytest.raises(ParametersRefused):
        backend.encrypt(updates()[0], weight=1.0, shape=form)
    with pytest.raises(ParametersRefused):
        backend.accumulator(shape=form)


@pytest.mark.parametrize(
    "other",
    [SumShape(LENGTH, CLIP, b"d" * 32), SumShape(LENGTH + 1, CLIP, b"c" * 32), SumShape(LENGTH, CLIP / 2, b"c" * 32)],
    ids=["round", "length", "clip"],
)
def test_ciphertexts_of_another_shape_are_refused(backend: PrivateAggregation, other: SumShape) -> None:
    ciphertexts, keys = contributions(backend)
    with pytest.raises(CiphertextRefused, match="ciphertext 0"):
        added(backend, ciphertexts, other)
    total = added(backend, ciphertexts, FORM)
    with pytest.raises(CiphertextRefused):
        backend.decrypt(total, backend.combine_keys(keys), shape=other, count=len(keys))


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c + b"\0", lambda c: b"", lambda c: b"\xff" + c[1:]])
def test_damaged_ciphertexts_are_named(backend: PrivateAggregation, damage: Callable[[bytes], bytes]) -> None:
    ciphertexts, _ = contributions(backend)
    ciphertexts[2] = damage(ciphertexts[2])
    with pytest.raises(CiphertextRefused, match="ciphertext 2"):
        added(backend, ciphertexts, FORM)


def test_a_sum_is_not_a_contribution(backend: PrivateAggregation) -> None:
    ciphertexts, _ = contributions(backend)
    total = added(backend, ciphertexts[:2], FORM)
    with pytest.raises(CiphertextRefused, match="ciphertext 1"):
        added(backend, [ciphertexts[2], total], FORM)


def test_keys_of_other_silos_do_not_decrypt(backend: PrivateAggregation) -> None:
    ciphertexts, keys = contributions(backend)
    total = added(backend, ciphertexts[:3], FORM)
    for wrong in ([keys[0], keys[1], keys[3]], keys[:2], keys):
        with pytest.raises(CiphertextRefused):
            backend.decrypt(total, backend.combine_keys(wrong), shape=FORM, count=3)


@pytest.mark.parametrize("damage", [lambda k: k[:-1], lambda k: k + b"\0", lambda k: b""])
def test_damaged_keys_are_refused(backend: PrivateAggregation, damage: Callable[[bytes], bytes]) -> None:
    ciphertexts, keys = contributions(backend)
    total = added(backend, ciphertexts, FORM)
    with pytest.raises(CiphertextRefused):
        backend.decrypt(total, damage(backend.combine_keys(keys)), shape=FORM, count=len(keys))
    with pytest.raises(CiphertextRefused, match="key 1"):
        backend.combine_keys([keys[0], damage(bytes(keys[1]))])
    with pytest.raises(CiphertextRefused, match="key 4"):
        backend.combine_keys([*keys, keys[0]])


@pytest.mark.parametrize("count", [1, 3, 5])
def test_another_count_is_refused(backend: PrivateAggregation, count: int) -> None:
    ciphertexts, keys = contributions(backend)
    total = added(backend, ciphertexts, FORM)
    with pytest.raises(CiphertextRefused):
        backend.decrypt(total, backend.combine_keys(keys), shape=FORM, count=count)


def test_rosters_out_of_range_are_refused(backend: PrivateAggregation) -> None:
    for count in (0, backend.scheme.largest_roster + 1):
        with pytest.raises(ParametersRefused, match=f"{count} contributions"):
            backend.combine_keys([b""] * count)
        with pytest.raises(ParametersRefused, match=f"{count} contributions"):
            backend.decrypt(b"", b"", shape=FORM, count=count)
    with pytest.raises(ParametersRefused, match="0 contributions"):
        backend.accumulator(shape=FORM).total()


def test_a_refused_contribution_leaves_the_sum_as_it_was(backend: PrivateAggregation) -> None:
    ciphertexts, _ = contributions(backend)
    accumulator = backend.accumulator(shape=FORM)
    accumulator.add(ciphertexts[0])
    before = accumulator.total()
    with pytest.raises(CiphertextRefused):
        accumulator.add(ciphertexts[1][:-8] + b"\xff" * 8)
    assert accumulator.total() == before
    accumulator.add(ciphertexts[1])
    assert accumulator.total() == added(backend, ciphertexts[:2], FORM)


@pytest.mark.parametrize("word", ["", "yes", "software-keeper", None, True])
def test_sums_in_the_clear_have_to_be_accepted_by_name(word: object) -> None:
    with pytest.raises(PolicyInvalid, match="accepted explicitly"):
        PlainAggregation(accept_insecure=word)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        PlainAggregation()  # type: ignore[call-arg]


# A committee, for backends whose keys it can have; the others say that it cannot.

THRESHOLD = Threshold.fitting(members=5, silent=1, liars=0, colluding=2)


def shares_of(backend: PrivateAggregation, keys: list[bytearray]) -> list[DealtKey] | None:
    try:
        return [backend.deal_key(key, THRESHOLD) for key in keys]
    except ParametersRefused as refusal:
        assert "committee" in refusal.problem and refusal.hint
        return None


def test_members_answers_are_the_sum_of_the_keys_or_refused_by_name(backend: PrivateAggregation) -> None:
    ciphertexts, keys = contributions(backend)
    total, dealt = added(backend, ciphertexts, FORM), shares_of(backend, keys)
    if dealt is None:
        for refused in (
            lambda: backend.add_shares([], THRESHOLD),
            lambda: backend.recover_key({}, THRESHOLD, total=total, shape=FORM, count=len(keys)),
        ):
            with pytest.raises(ParametersRefused, match="committee"):
                refused()
        return
    answers = {k: backend.add_shares([one.shares[k - 1] for one in dealt], THRESHOLD) for k in range(1, 6)}
    del answers[2]
    found = backend.recover_key(answers, THRESHOLD, total=total, shape=FORM, count=len(keys))
    assert (found.combined_key, found.liars) == (backend.combine_keys(keys), ())
    for one in dealt:
        assert len(one.shares) == 5 and {len(h) for h in one.commitments} == {32}
        assert all(type(share) is bytearray for share in one.shares) and type(one.hidden) is bytearray


def test_answers_for_a_part_of_the_roster_do_not_decrypt_the_sum(backend: PrivateAggregation) -> None:
    ciphertexts, keys = contributions(backend)
    dealt = shares_of(backend, keys[:-1])
    if dealt is not None:
        answers = {k: backend.add_shares([one.shares[k - 1] for one in dealt], THRESHOLD) for k in range(1, 6)}
        with pytest.raises(CiphertextRefused):
            total = added(backend, ciphertexts, FORM)
            backend.recover_key(answers, THRESHOLD, total=total, shape=FORM, count=len(keys))

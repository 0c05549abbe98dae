"""The attack finds what is there, finds nothing in noise, and is measured without favour."""

import numpy as np
import pytest

from quatrefoil.aggregation import AdditiveAggregation, CkksAggregation, CkksSumSet, ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES
from quatrefoil.aggregation.ckks import backend as ckks_backend
from quatrefoil.aggregation.he.context import context
from quatrefoil.contracts import SumShape
from quatrefoil.demo import baselines, inversion, leakage, models
from quatrefoil.demo.inversion import GOLDILOCKS, Match, Packing
from quatrefoil.errors import CallerError
from quatrefoil.insecure import PlainAggregation

HEADER = b"h" * Packing().header_bytes


def uniform_ciphertext(seed, words=4096):
    return HEADER + np.random.default_rng(seed).integers(0, GOLDILOCKS, words, dtype=np.uint64).tobytes()


def packed_in_the_clear(values, packing):
    """A vector packed into words as the encryption packs it, with nothing added."""
    blocks = -(-len(values) // (packing.block_words * packing.slots))
    padded = np.zeros(blocks * packing.slots * packing.block_words, dtype=object)
    padded[: len(values)] = [int(value) for value in np.round(values * 32767)]
    slots = padded.reshape(blocks, packing.slots, packing.block_words)
    words = sum(slots[:, slot] << (packing.slot_bits * slot) for slot in range(packing.slots)) << packing.shift
    return HEADER[: packing.header_bytes] + np.array(words % GOLDILOCKS, dtype="<u8").tobytes()


@pytest.fixture(scope="module")
def observed(start, train, updates):
    mean = baselines.clear_mean(list(updates.values()), [len(labels) for _, labels in train.values()], 0)
    sealed = {name: uniform_ciphertext(seed) for seed, name in enumerate(train)}
    return leakage.ObservedRound(start, train, updates, sealed, mean)


@pytest.mark.parametrize("kind", models.KINDS)
def test_one_gradient_is_the_record(train, kind):
    parameters = models.initial(kind, train["hungary"][0].shape[1], seed=0)
    assert inversion.single_gradients(parameters, train["hungary"]).typical_db >= 60


def test_every_view_of_a_round_is_where_it_belongs(observed):
    found = leakage.measure(observed, seed=1)
    views = found.views
    assert set(views) == set(leakage.VIEWS) and found.candidates == models.HIDDEN
    assert views["gradient"].typical_db >= 60 and views["one_patient"].typical_db >= 60
    assert abs(views["ciphertext"].closest_db - views["chance"].closest_db) < leakage.NOISE_DB
    assert abs(views["ciphertext"].typical_db - views["chance"].typical_db) < leakage.NOISE_DB
    assert views["update"].typical_db > views["chance"].typical_db + 2
    assert views["sum"].typical_db < views["update"].typical_db - 1
    assert views["sum"].closest_db < views["strangers"].closest_db
    assert found.meaning("gradient") == found.meaning("one_patient") == "the record itself"
    assert found.meaning("ciphertext") == "no better than chance"


def test_a_ciphertext_that_is_not_one_is_noticed(observed):
    """The control: the same reading of the same updates, packed but not encrypted, finds all that the update holds."""
    plain = {
        name: packed_in_the_clear(np.concatenate([array.ravel() for array in update]), Packing())
        for name, update in observed.updates.items()
    }
    bare = leakage.ObservedRound(observed.start, observed.train, observed.updates, plain, observed.mean)
    views = leakage.measure(bare, seed=1).views
    assert views["ciphertext"].closest_db == pytest.approx(views["update"].closest_db, abs=0.5)
    assert views["ciphertext"].typical_db == pytest.approx(views["update"].typical_db, abs=0.5)


@pytest.mark.parametrize(
    "packing",
    [Packing(), Packing(96, 4096, 20, 43, 1), Packing(header_bytes=0, block_words=8, shift=12, slot_bits=17, slots=3)],
)
@pytest.mark.parametrize("length", [1, 24, 25, 545, 9000])
def test_unpacking_undoes_packing(packing, length):
    values = np.random.default_rng(length).uniform(-1, 1, length)
    values[0] = -1.0
    found = inversion.ciphertext_as_update(packed_in_the_clear(values, packing), length, packing)
    assert np.array_equal(found, np.round(values * 32767))


def test_the_packing_is_that_of_the_additive_encryption():
    """Two encryptions under one key and one noise differ by the packed message alone: reading it gives the update."""
    parameters = ParameterSet.named("sum-256-w16")
    layout = Packing()
    assert (layout.shift, layout.slot_bits, layout.slots) == (parameters.delta, parameters.slot_width, parameters.slots)
    assert (layout.header_bytes, layout.block_words) == (HEADER_BYTES, parameters.ring_degree)
    shape = SumShape(length=9000, clip=1.0, context=bytes(32))
    values = np.random.default_rng(1).uniform(-1, 1, shape.length)
    broken = AdditiveAggregation(parameters, random=lambda count: bytes(count))
    one, zero = (broken.encrypt(v, weight=1.0, shape=shape).ciphertext[HEADER_BYTES:] for v in (values, 0 * values))
    difference = [
        (int(a) - int(b)) % GOLDILOCKS for a, b in zip(*(np.frombuffer(c, "<u8") for c in (one, zero)), strict=True)
    ]
    found = inversion.ciphertext_as_update(HEADER + np.array(difference, dtype="<u8").tobytes(), shape.length)
    assert np.abs(found / parameters.largest_integer - values).max() < 1 / parameters.largest_integer


@pytest.mark.parametrize("name", ["sum-256-w16", "sum-2048-w32"])
def test_every_parameter_set_has_its_packing(name):
    parameters = ParameterSet.named(name)
    assert Packing.of(ParameterSet.named("sum-256-w16")) == Packing()
    shape = SumShape(length=5000, clip=1.0, context=bytes(32))
    sealed = AdditiveAggregation(parameters).encrypt(np.zeros(5000), weight=1.0, shape=shape).ciphertext
    assert len(inversion.ciphertext_as_update(sealed, 5000, Packing.of(parameters))) == 5000


def test_a_sum_in_ckks_is_read_as_far_as_it_is_not_encrypted():
    """Two ciphertexts under one key differ by the messages and their noise: reading that gives the update."""
    backend = CkksAggregation(CkksSumSet.named("ckks-sum-4096"))
    shape = SumShape(length=5000, clip=1.0, context=bytes(32))
    values = np.random.default_rng(1).uniform(-1, 1, shape.length)
    secret = ckks_backend.fresh_secret(context(backend.parameters.seal))
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(ckks_backend, "fresh_secret", lambda _: bytearray(secret))
        one, zero = (
            backend.encrypt(v, weight=1.0, shape=shape).ciphertext[HEADER_BYTES:] for v in (values, 0 * values)
        )
    words, others = (np.frombuffer(c, "<u8") for c in (one, zero))
    modulus = np.uint64(backend.parameters.modulus)
    difference = (words + modulus - others) % modulus
    found = inversion.ckks_as_update(HEADER + difference.tobytes(), shape.length)
    assert np.abs(found - values).max() < 1e-9
    encrypted = inversion.ckks_as_update(HEADER + one, shape.length)
    assert abs(np.corrcoef(encrypted, values)[0, 1]) < 0.08
    for body, length in ((one[:-8], 5000), (one, 9000), (one, 0)):
        with pytest.raises(CallerError, match="do not hold"):
            inversion.ckks_as_update(HEADER + body, length)


def test_a_stand_in_hides_nothing(observed):
    """What an aggregator reads where sums are in the clear is the update itself, and the view says so."""
    plain = PlainAggregation(accept_insecure="plain-aggregation")
    shape = SumShape(length=sum(array.size for array in observed.start), clip=1.0, context=bytes(32))
    received = {}
    for name, update in observed.updates.items():
        vector = np.concatenate([array.ravel() for array in update])
        received[name] = plain.encrypt(vector, weight=0.25, shape=shape).ciphertext
        assert np.array_equal(inversion.plain_as_update(received[name], shape.length), 0.25 * vector)
    bare = leakage.ObservedRound(observed.start, observed.train, observed.updates, received, observed.mean)
    found = leakage.measure(bare, read=inversion.plain_as_update, seed=1)
    assert found.views["ciphertext"].closest_db == pytest.approx(found.views["update"].closest_db)
    assert found.meaning("ciphertext") == "all of the plain update"
    for data, length in ((bytes(15), 2), (bytes(16), 0)):
        with pytest.raises(CallerError, match="do not hold"):
            inversion.plain_as_update(data, length)


def test_random_words_unpack_to_the_whole_range():
    values = inversion.ciphertext_as_update(uniform_ciphertext(7), 8192)
    assert abs(values.mean()) < 0.05 * (1 << 23) and values.max() > 0.99 * (1 << 23) > -0.99 * (1 << 23) > values.min()


def test_a_hidden_unit_that_did_not_move_says_nothing():
    update = [np.array([[1.0, 2.0], [1.0, 4.0], [np.nan, 1.0]]), np.array([0.0, 4.0, 2.0])]
    assert inversion.invert_update(update).tolist() == [[0.5, 0.5], [0.25, 1.0], [0.5, 0.5]]


def test_chance_gets_as_many_guesses_as_the_attack():
    """More guesses come closer by luck alone: with other numbers of guesses the rows would not compare."""
    records = np.random.default_rng(3).random((40, 6))
    few, many = ([np.zeros((units, 6)), np.zeros(units)] for units in (1, 64))
    assert inversion.chance(many, records, seed=0).closest_db > inversion.chance(few, records, seed=0).closest_db + 1
    one, sixteen = (inversion.stranger_guess(records[:20], records[20:], count, seed=0) for count in (1, 16))
    assert sixteen.typical_db > one.typical_db


def test_guesses_are_repeatable(start, train):
    records = train["switzerland"][0]
    assert inversion.chance(start, records, seed=4) == inversion.chance(start, records, seed=4)
    assert inversion.best_psnr(records[:2], records) == 99.0
    assert inversion.average([Match(10, 2), Match(20, 4)]) == Match(15, 3)


def test_what_does_not_fit_is_refused(start, observed):
    with pytest.raises(CallerError, match="weights and bias"):
        inversion.invert_update([np.zeros(4), np.zeros(4)])
    with pytest.raises(CallerError, match="weights and bias"):
        inversion.invert_update([np.zeros((4, 2)), np.zeros(3)])
    for length, size in ((21, 96 + 8), (8193, 96 + 8 * 4096), (545, 96 + 8 * 8192), (0, 96), (5, 40)):
        with pytest.raises(CallerError, match=r"block\(s\) of 4096 words"):
            inversion.ciphertext_as_update(bytes(size), length)
    with pytest.raises(CallerError, match="does not fill 545 values"):
        inversion.shaped_like(np.zeros(3), start)
    with pytest.raises(CallerError, match="do not compare"):
        inversion.match(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(CallerError, match="9 guesses from 4 records"):
        inversion.stranger_guess(np.zeros((4, 2)), np.zeros((4, 2)), 9, seed=0)
    with pytest.raises(CallerError, match="nothing to average"):
        inversion.average([])
    with pytest.raises(CallerError, match="with parts of"):
        leakage.ObservedRound(observed.start, observed.train, {}, observed.received, observed.mean)

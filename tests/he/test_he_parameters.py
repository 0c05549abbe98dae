"""Parameter sets: inside the standard's table, by SEAL's own check and by our estimate; and refusals with numbers."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from support_he import key
from tests.reference.he import coefficients, polynomials

from quatrefoil.aggregation.he import SETS, HeParameters, SecretKey
from quatrefoil.aggregation.he.context import context, library
from quatrefoil.aggregation.he.parameters import SECRET_VARIANCE
from quatrefoil.aggregation.security.lattice import Lwe, primal
from quatrefoil.errors import DependencyMissing, ParametersRefused

each_set = pytest.mark.parametrize("name", list(SETS))


@each_set
def test_seal_rates_every_set_at_128_bits(name: str) -> None:
    seal = library()
    rated = (seal.sec_level_type.tc128, seal.sec_level_type.tc192, seal.sec_level_type.tc256)
    found = context(SETS[name])
    assert found.handle.key_context_data().qualifiers().sec_level in rated
    assert found.handle.using_keyswitching() is bool(SETS[name].special)


@each_set
def test_core_svp_is_at_least_128_bits_or_that_of_ml_kem_512(name: str) -> None:
    """With the smaller of both deviations, the ternary secret's, for secret and error: the attacker's favour. Networks
    need a wider modulus: 128 bits by the standard, for quantum attacks too, and by core-SVP what ML-KEM-512 has."""
    p = SETS[name]
    whole = p.modulus * (p.special or 1)
    found = primal(Lwe(p.ring_degree, whole, sqrt(2 / 3)))
    least = {"classical": 118, "quantum": 107} if p.rescaled_bits else {"classical": 128, "quantum": 128}
    assert all(found.bits(attack) >= bits for attack, bits in least.items())
    assert p.total_bits <= {4096: 101, 8192: 202}[p.ring_degree]  # the standard's table of quantum attacks


@each_set
def test_primes_are_prime_and_split_the_ring(name: str) -> None:
    p, seal = SETS[name], library()
    for prime in (*p.key_primes, *([p.plain] if p.plain else [])):
        assert seal.Modulus(prime).is_prime() and prime % (2 * p.ring_degree) == 1
    assert len(set(p.key_primes)) == len(p.key_primes)


@pytest.mark.parametrize("name", ["", "ckks", "CKKS-LINEAR-4096", "ckks-linear-2048", "x" * 1000])
def test_unknown_sets_are_refused(name: str) -> None:
    with pytest.raises(ParametersRefused, match="no parameter set"):
        HeParameters.named(name)


def test_a_modulus_too_wide_is_refused_with_the_numbers() -> None:
    with pytest.raises(ParametersRefused, match=r"120\.0 bits at degree 4096 is over the 109"):
        replace(
            SETS["ckks-product-8192"], ring_degree=4096, special=0, primes=(1152921504606748673, 1152921504606830593)
        )


def test_a_degree_without_a_row_in_the_table_is_refused() -> None:
    with pytest.raises(ParametersRefused):
        replace(SETS["ckks-linear-4096"], ring_degree=2048)


def test_seal_refuses_what_is_no_prime() -> None:
    with pytest.raises(ParametersRefused, match="SEAL refuses"):
        context(replace(SETS["ckks-linear-4096"], primes=(1152921504606830595,)))


def test_without_seal_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "seal", None)
    with pytest.raises(DependencyMissing, match=r"quatrefoil\[he\]"):
        library()


def test_the_room_is_read_without_seal() -> None:
    import subprocess

    code = "import quatrefoil.aggregation.he, quatrefoil.analytics, sys; assert 'seal' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_have_the_variance_that_bounds_are_derived_from() -> None:
    """CBD of 42 coins: 10.5. A build of SEAL with another noise would be noticed here."""
    chosen = key("ckks-linear-4096")
    found = context(chosen.parameters)
    scale = 2.0**chosen.parameters.value_bits
    squares = []
    for _ in range(60):
        handle = found.seal.Ciphertext()
        handle.load_bytes(found.handle, chosen.encrypt(np.zeros(1)))
        decoded = found.encoder.decode_complex(chosen._decryptor.decrypt(handle))
        squares.append((np.abs(decoded) ** 2).mean() * scale**2 / chosen.parameters.ring_degree)
    assert abs(np.mean(squares) - 10.5) < 0.3


def test_keys_differ_and_do_not_print_their_secret() -> None:
    one, other = (SecretKey.generate(SETS["ckks-linear-4096"]) for _ in range(2))
    assert one.key_id != other.key_id and one.save() != other.save()
    assert repr(one) == f"SecretKey(ckks-linear-4096, {one.key_id.hex()})"


@pytest.mark.parametrize("name", ["ckks-linear-4096", "ckks-network-8192"])
def test_secrets_are_ternary_each_value_with_probability_a_third(name: str) -> None:
    """What the bound of rescaling takes from SEAL, by exact integers: its coefficients, and the size of its slots."""
    p = SETS[name]
    ((values, *_),) = polynomials(bytes(key(name).save()), p.ring_degree, p.key_primes, 88, 1)
    prime = p.key_primes[0]
    found = [c - prime if c > prime // 2 else c for c in coefficients(values, prime)]
    counts = [found.count(value) for value in (-1, 0, 1)]
    assert sum(counts) == p.ring_degree
    assert all(abs(count - p.ring_degree / 3) < 6 * sqrt(p.ring_degree * 2 / 9) for count in counts)
    in_slots = np.abs(np.fft.fft(np.array(found) * np.exp(1j * np.pi * np.arange(p.ring_degree) / p.ring_degree)))
    events = log(16 * p.ring_degree) + 40 * log(2)
    assert (in_slots**2).max() <= SECRET_VARIANCE * 2 * p.ring_degree * events

"""The second verifier's own primitives, against published values and against independent libraries."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bounded_update import aes, blake3, field, polynomials
from bounded_update.field import ONE, ZERO, Ext, P
from bounded_update.transcript import Drawn, Transcript

# From test_vectors/test_vectors.json of the BLAKE3 team: length, hash and keyed hash. Input is 0, 1, .., 250, 0, 1, ..
BLAKE3_KEY = b"whats the Elvish word for friend"
BLAKE3 = [
    (
        0,
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262e00f03e7b69af26b7faaf09fcd333050338ddfe085b8cc86"
        "9ca98b206c08243a26f5487789e8f660afe6c99ef9e0c52b92e7393024a80459cf91f476f9ffdbda7001c22e159b402631f277ca96f2defd"
        "f1078282314e763699a31c5363165421cce14d",
        "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26",
    ),
    (
        1023,
        "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
        "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e",
    ),
    (
        1024,
        "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
        "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4",
    ),
    (
        1025,
        "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
        "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69",
    ),
    (
        3073,
        "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3",
        "68dede9bef00ba89e43f31a6825f4cf433389fedae75c04ee9f0cf16a427c95a",
    ),
    (
        7169,
        "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817",
        "ed9b1a922c046fdb3d423ae34e143b05ca1bf28b710432857bf738bcedbfa511",
    ),
]


@pytest.mark.parametrize(("length", "plain", "keyed"), BLAKE3, ids=[str(case[0]) for case in BLAKE3])
def test_blake3_gives_the_published_values(length: int, plain: str, keyed: str) -> None:
    data = bytes(i % 251 for i in range(length))
    output = b"".join(islice(blake3.extended(data), 3))
    assert output[: len(plain) // 2].hex() == plain
    assert blake3.digest(data).hex() == plain[:64]
    assert blake3.digest(data, BLAKE3_KEY).hex() == keyed


def test_blake3_takes_keys_of_32_bytes_only() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        blake3.digest(b"", bytes(31))


def test_aes_gives_the_value_of_fips_197() -> None:
    cipher = aes.Aes256(bytes(range(32)))
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert cipher.encrypt(block).hex() == "8ea2b7ca516745bfeafc49904b496089"
    with pytest.raises(ValueError, match="32 bytes"):
        aes.Aes256(bytes(16))


def test_streams_agree_with_another_library() -> None:
    draw = random.Random(1)
    for _ in range(8):
        seed, info, part = draw.randbytes(32), draw.randbytes(70), draw.randrange(1 << 20)
        key = aes.hkdf(seed, info)
        assert key == HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(seed)
        counter = (part << 64).to_bytes(16, "big")
        other = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(bytes(160))
        assert b"".join(islice(aes.key_stream(key, part << 64), 10)) == other


def element(draw: random.Random) -> Ext:
    return Ext(draw.randrange(P), draw.randrange(P))


def test_seven_is_no_square_so_that_e_is_a_field() -> None:
    assert pow(7, (P - 1) // 2, P) == P - 1
    x = element(random.Random(2))
    assert x * x.inverse() == ONE
    with pytest.raises(ZeroDivisionError):
        ZERO.inverse()


def test_multilinear_helpers_agree_with_their_definitions() -> None:
    draw = random.Random(3)
    point = [element(draw) for _ in range(4)]
    vector = [element(draw) for _ in range(16)]
    table = field.eq_vector(point)
    assert field.evaluate(vector, point) == field.inner(table, vector)
    for index in range(16):
        assert field.eq_index(point, index) == table[index]
        corner = [Ext(index >> (3 - i) & 1) for i in range(4)]
        assert field.eq(point, corner) == table[index]
    for start in range(17):
        assert field.from_index(point, start) == field.total(table[start:])
    assert field.from_index([], 0) == ONE
    for wrong in (-1, 17):
        with pytest.raises(IndexError):
            field.from_index(point, wrong)
    with pytest.raises(IndexError):
        field.eq_index(point, 16)
    with pytest.raises(ValueError, match="dimensions"):
        field.evaluate(vector[:8], point)


def test_transforms_and_interpolation_invert_each_other() -> None:
    draw = random.Random(4)
    coefficients = [draw.randrange(P) for _ in range(5)]
    word = polynomials.code_word(coefficients, 16)
    omega = polynomials.root_of_unity(16)
    assert pow(omega, 8, P) == P - 1
    as_elements = [Ext(c) for c in coefficients]
    assert [Ext(x) for x in word] == [polynomials.horner(as_elements, pow(omega, i, P)) for i in range(16)]
    points = [pow(omega, i, P) for i in (3, 1, 7, 8, 15)]
    assert polynomials.interpolating(points, [word[i] for i in (3, 1, 7, 8, 15)]) == coefficients
    values = [polynomials.horner(as_elements, i) for i in range(5)]
    assert polynomials.interpolate(values, Ext(99)) == polynomials.horner(as_elements, 99)


def test_negacyclic_values_multiply() -> None:
    draw = random.Random(5)
    a, b = ([draw.randrange(P) for _ in range(8)] for _ in range(2))
    product = [0] * 8
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            sign = 1 if i + j < 8 else -1
            product[(i + j) % 8] = (product[(i + j) % 8] + sign * x * y) % P
    values = [x * y % P for x, y in zip(*map(polynomials.negacyclic_values, (a, b)), strict=True)]
    assert polynomials.negacyclic_coefficients(values) == product


def test_words_that_are_not_below_p_are_skipped() -> None:
    words = [P, 5, P - 1, 2**64 - 1, 0]
    data = b"".join(word.to_bytes(8, "little") for word in words)
    drawn = Drawn(iter([data]))
    assert [drawn.base() for _ in range(3)] == [5, P - 1, 0]


def test_alpha_is_drawn_again_while_a_denominator_could_be_zero() -> None:
    words = [9, 1, 9, 2, 4, 0]
    drawn = Drawn(iter([b"".join(word.to_bytes(8, "little") for word in words)]))
    assert drawn.lookup_challenge() == Ext(4, 0)


def test_labels_and_contents_change_the_state() -> None:
    states = set()
    for label, data in (("round", b""), ("z", b""), ("round", b"\0"), ("round", b"\0\0")):
        transcript = Transcript(bytes(32))
        transcript.absorb(label, data)
        states.add(transcript.state)
    assert len(states) == 4

"""ML-DSA-44 (FIPS 204), slow and plain: keys from a seed, deterministic signatures, verification. Shares no code.

Not for keys that matter: it takes a time that depends on secrets. Comments name the algorithms of FIPS 204.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import shake_128, shake_256
from itertools import pairwise

Q, D, TAU, GAMMA1, GAMMA2 = 8380417, 13, 39, 1 << 17, (8380417 - 1) // 88
K = L = 4
ETA, OMEGA = 2, 80
BETA = TAU * ETA
PUBLIC_BYTES, SIGNATURE_BYTES = 1312, 2420

Poly = list[int]
Vector = list[Poly]


def _reversed(number: int) -> int:
    return int(f"{number:08b}"[::-1], 2)


ZETAS = [pow(1753, _reversed(number), Q) for number in range(256)]


def ntt(of: Poly) -> Poly:
    """Algorithm 41."""
    w, place, length = list(of), 0, 128
    while length >= 1:
        for start in range(0, 256, 2 * length):
            place += 1
            for j in range(start, start + length):
                t = ZETAS[place] * w[j + length] % Q
                w[j + length], w[j] = (w[j] - t) % Q, (w[j] + t) % Q
        length //= 2
    return w


def inverse_ntt(of: Poly) -> Poly:
    """Algorithm 42."""
    w, place, length = list(of), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            place -= 1
            for j in range(start, start + length):
                t = w[j]
                w[j] = (t + w[j + length]) % Q
                w[j + length] = -ZETAS[place] * (t - w[j + length]) % Q
        length *= 2
    return [value * 8347681 % Q for value in w]


def _times(one: Poly, other: Poly) -> Poly:
    return [a * b % Q for a, b in zip(one, other, strict=True)]


def _plus(one: Poly, other: Poly) -> Poly:
    return [(a + b) % Q for a, b in zip(one, other, strict=True)]


def _minus(one: Poly, other: Poly) -> Poly:
    return [(a - b) % Q for a, b in zip(one, other, strict=True)]


def _product(matrix: list[Vector], vector: Vector) -> Vector:
    """A matrix and a vector, both transformed."""
    out = []
    for row in matrix:
        total = [0] * 256
        for one, other in zip(row, vector, strict=True):
            total = _plus(total, _times(one, other))
        out.append(total)
    return out


def _centred(value: int, modulus: int = Q) -> int:
    found = value % modulus
    return found - modulus if found > modulus // 2 else found


def _largest(vector: Vector) -> int:
    return max(abs(_centred(value)) for poly in vector for value in poly)


def _pack(values: Iterable[int], bits: int) -> bytes:
    total = size = 0
    for place, value in enumerate(values):
        total |= value << bits * place
        size += bits
    return total.to_bytes(size // 8, "little")


def _unpack(data: bytes, bits: int) -> Poly:
    total = int.from_bytes(data, "little")
    return [total >> bits * place & (1 << bits) - 1 for place in range(256)]


def _h(data: bytes, size: int) -> bytes:
    return shake_256(data).digest(size)


def expand_a(rho: bytes) -> list[Vector]:
    """Algorithms 32 and 30."""
    return [[_rejected(rho + bytes([s, r])) for s in range(L)] for r in range(K)]


def _rejected(seed: bytes) -> Poly:
    stream, found = shake_128(seed).digest(4096), Poly()
    for at in range(0, len(stream), 3):
        value = int.from_bytes(stream[at : at + 3], "little") & 0x7FFFFF
        if value < Q and len(found) < 256:
            found.append(value)
    assert len(found) == 256
    return found


def _bounded(seed: bytes) -> Poly:
    """Algorithm 31, for an eta of 2."""
    found = Poly()
    for byte in shake_256(seed).digest(1024):
        found += [(2 - half % 5) % Q for half in (byte & 15, byte >> 4) if half < 15]
    return found[:256]


def sample_in_ball(seed: bytes) -> Poly:
    """Algorithm 29."""
    stream = shake_256(seed).digest(4096)
    signs, at, c = int.from_bytes(stream[:8], "little"), 8, [0] * 256
    for i in range(256 - TAU, 256):
        while stream[at] > i:
            at += 1
        j = stream[at]
        at += 1
        c[i] = c[j]
        c[j] = -1 if signs >> (i + TAU - 256) & 1 else 1
    return c


def _power2round(value: int) -> tuple[int, int]:
    low = _centred_2d(value)
    return (value - low) >> D, low


def _centred_2d(value: int) -> int:
    low = value % (1 << D)
    return low - (1 << D) if low > 1 << (D - 1) else low


def decompose(value: int) -> tuple[int, int]:
    """Algorithm 36."""
    low = _centred(value % Q, 2 * GAMMA2)
    return (0, low - 1) if value % Q - low == Q - 1 else ((value % Q - low) // (2 * GAMMA2), low)


def _use_hint(hint: int, value: int) -> int:
    """Algorithm 40."""
    high, low = decompose(value)
    if not hint:
        return high
    return (high + 1) % 44 if low > 0 else (high - 1) % 44


def _message(message: bytes) -> bytes:
    """Algorithm 2, line 10, with an empty context."""
    return b"\0\0" + message


def public_key(seed: bytes) -> bytes:
    """Algorithm 6: the public key of a seed of 32 bytes."""
    return _keys(seed)[0]


def _keys(seed: bytes) -> tuple[bytes, bytes, bytes, Vector, Vector, Vector]:
    """pk, rho, K, s1, s2, t0."""
    expanded = _h(seed + bytes([K, L]), 128)
    rho, secret, key = expanded[:32], expanded[32:96], expanded[96:]
    s1 = [_bounded(secret + r.to_bytes(2, "little")) for r in range(L)]
    s2 = [_bounded(secret + (r + L).to_bytes(2, "little")) for r in range(K)]
    product = _product(expand_a(rho), [ntt(one) for one in s1])
    t = [_plus(inverse_ntt(one), other) for one, other in zip(product, s2, strict=True)]
    rounded = [[_power2round(value) for value in poly] for poly in t]
    packed = b"".join(_pack((high for high, _ in poly), 10) for poly in rounded)
    return rho + packed, rho, key, s1, s2, [[low for _, low in poly] for poly in rounded]


def sign(seed: bytes, message: bytes) -> bytes:
    """Algorithm 7, without randomness (section 3.4): the same signature every time."""
    public, rho, key, s1, s2, t0 = _keys(seed)
    a = expand_a(rho)
    s1_hat, s2_hat, t0_hat = ([ntt(one) for one in vector] for vector in (s1, s2, t0))
    mu = _h(_h(public, 64) + _message(message), 64)
    private = _h(key + bytes(32) + mu, 64)
    kappa = 0
    while True:
        y = [
            [(GAMMA1 - value) % Q for value in _unpack(_h(private + (kappa + r).to_bytes(2, "little"), 576), 18)]
            for r in range(L)
        ]
        kappa += L
        w = [inverse_ntt(one) for one in _product(a, [ntt(one) for one in y])]
        high = b"".join(_pack((decompose(value)[0] for value in poly), 6) for poly in w)
        challenge = _h(mu + high, 32)
        c = ntt([value % Q for value in sample_in_ball(challenge)])
        z = [_plus(one, inverse_ntt(_times(c, other))) for one, other in zip(y, s1_hat, strict=True)]
        rest = [_minus(one, inverse_ntt(_times(c, other))) for one, other in zip(w, s2_hat, strict=True)]
        low = max(abs(decompose(value)[1]) for poly in rest for value in poly)
        if _largest(z) >= GAMMA1 - BETA or low >= GAMMA2 - BETA:
            continue
        ct0 = [inverse_ntt(_times(c, one)) for one in t0_hat]
        hints = [
            [
                int(decompose(value)[0] != decompose(value + other)[0])
                for value, other in zip(first, second, strict=True)
            ]
            for first, second in zip(rest, ct0, strict=True)
        ]
        if _largest(ct0) >= GAMMA2 or sum(map(sum, hints)) > OMEGA:
            continue
        packed = b"".join(_pack(((GAMMA1 - _centred(value)) for value in poly), 18) for poly in z)
        return challenge + packed + _pack_hints(hints)


def _pack_hints(hints: Vector) -> bytes:
    """Algorithm 20."""
    places, ends = bytearray(), bytearray()
    for poly in hints:
        places += bytes(place for place, value in enumerate(poly) if value)
        ends.append(len(places))
    return bytes(places).ljust(OMEGA, b"\0") + bytes(ends)


def _unpack_hints(data: bytes) -> Vector | None:
    """Algorithm 21."""
    hints, at = [[0] * 256 for _ in range(K)], 0
    for poly, end in zip(hints, data[OMEGA:], strict=True):
        if not at <= end <= OMEGA:
            return None
        places = data[at:end]
        if any(one >= other for one, other in pairwise(places)):
            return None
        for place in places:
            poly[place] = 1
        at = end
    return hints if not any(data[at:OMEGA]) else None


def verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Algorithm 8, with an empty context."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    rho = public[:32]
    t1 = [_unpack(public[32 + 320 * r : 352 + 320 * r], 10) for r in range(K)]
    challenge = signature[:32]
    z = [[(GAMMA1 - value) % Q for value in _unpack(signature[32 + 576 * r : 608 + 576 * r], 18)] for r in range(L)]
    hints = _unpack_hints(signature[32 + 576 * L :])
    if hints is None or _largest(z) >= GAMMA1 - BETA:
        return False
    mu = _h(_h(public, 64) + _message(message), 64)
    c = ntt([value % Q for value in sample_in_ball(challenge)])
    product = _product(expand_a(rho), [ntt(one) for one in z])
    shifted = [ntt([value << D for value in poly]) for poly in t1]
    w = [inverse_ntt(_minus(one, _times(c, other))) for one, other in zip(product, shifted, strict=True)]
    high = b"".join(
        _pack((_use_hint(hint, value) for hint, value in zip(of, poly, strict=True)), 6)
        for of, poly in zip(hints, w, strict=True)
    )
    return _h(mu + high, 32) == challenge

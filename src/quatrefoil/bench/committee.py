"""What a committee costs beside a keeper: dealing and sealing, the proof with the key in shares, a member's work,
recovery; and how all of it grows with the committee.

Both proofs are made and verified in turns. Times are the best of several repetitions, in milliseconds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.bench.proof import CLIP, PARAMETER_SET, REPETITIONS, WEIGHT, in_turns, update
from quatrefoil.contracts import BoundedUpdate, HiddenUpdate, ShareClaim, Sharing, SumShape, Threshold
from quatrefoil.errors import ParametersRefused
from quatrefoil.proofs import BoundedUpdateProofs
from quatrefoil.transport import CertificateAuthority, PostQuantumTransport, system_clock

ROSTER = 4

SIZES = (16, 32, 64)
"""Members of the committees that are measured beside the one that is asked for: the last is the largest there is."""


def measure_sizes(parameters: int, sizes: Sequence[int], progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row, as of :func:`measure_committee`, for each number of members: of each committee a quarter may be silent,
    one member lie, and three eighths collude."""
    rows = []
    for members in sizes:
        progress(f"a committee of {members}")
        fitting = Threshold.fitting(members=members, silent=members // 4, liars=1, colluding=3 * members // 8)
        rows.append(measure_committee(parameters, fitting, 1, progress))
    return rows


def measure_committee(
    parameters: int, threshold: Threshold, liars: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """One update of ``parameters`` float32 with the key at a keeper and in shares, and a roster of 4 recovered from all
    answers, and from as few as can be with ``liars`` of them wrong.

    ``shares_bytes`` and ``sealed_bytes``: one silo's shares for all members, and these sealed, each with a signature
    and a certificate; ``seal_ms``: sealing all of them; ``open_ms``, ``check_share_ms``: of one. ``keeper_``: the same
    of the one key that a keeper is sent.
    """
    if parameters < 1:
        raise ParametersRefused(f"{parameters} parameters are not at least 1", hint="Choose a number like 1048576")
    chosen = ParameterSet.named(PARAMETER_SET)
    aggregation, backend = AdditiveAggregation(chosen), BoundedUpdateProofs(chosen)
    shape, values = SumShape(parameters, CLIP, bytes(32)), update(parameters)
    bound = backend.bound(float(np.linalg.norm(values.astype(np.float64))), weight=WEIGHT, shape=shape)
    progress("encrypt and deal")
    made = [aggregation.encrypt_for_proof(values, weight=WEIGHT, shape=shape) for _ in range(ROSTER)]
    (dealing,) = in_turns(REPETITIONS, lambda: aggregation.deal_key(made[0][0].key, threshold))
    dealt = [aggregation.deal_key(encrypted.key, threshold) for encrypted, _ in made]
    backend.prepare(shape)

    plain = BoundedUpdate(shape, made[0][0].ciphertext, bound, bytes(32))
    shared = replace(plain, sharing=Sharing(threshold, dealt[0].commitments))
    hidden = replace(made[0][1], dealt=dealt[0])
    progress("prove with the key at a keeper and in shares, in turns")
    proving = in_turns(REPETITIONS, lambda: backend.prove(plain, made[0][1]), lambda: backend.prove(shared, hidden))
    proofs = [one.result for one in proving]
    progress("verify, check, add and recover")
    verifying = in_turns(
        3 * REPETITIONS, lambda: backend.verify(plain, proofs[0]), lambda: backend.verify(shared, proofs[1])
    )
    claim = verifying[1].result.key_claim
    assert isinstance(claim, ShareClaim)

    def check() -> None:
        backend.check_share(dealt[0].shares[0], 1, claim, shape=shape, bound=bound, binding=bytes(32))

    def answer(member: int) -> bytes:
        return aggregation.add_shares([one.shares[member - 1] for one in dealt], threshold)

    total = aggregation.accumulator(shape=shape)
    for encrypted, _ in made:
        total.add(encrypted.ciphertext)
    answers = {member: answer(member) for member in range(1, threshold.members + 1)}
    few = {member: answers[member] for member in range(1, threshold.recovery + liars + 1)}
    for member in range(1, liars + 1):
        few[member] = few[member][:-8] + bytes(8)

    def recover(given: dict[int, bytes]) -> tuple[int, ...]:
        return aggregation.recover_key(given, threshold, total=total.total(), shape=shape, count=ROSTER).liars

    serving = in_turns(REPETITIONS, check, lambda: answer(1))
    shares, whole = _sealing(dealt[0].shares), _sealing([made[0][0].key])
    recovering = in_turns(REPETITIONS, lambda: recover(answers), lambda: recover(few))
    _wipe([hidden for _, hidden in made])
    return {
        "parameters": parameters,
        "members": threshold.members,
        "recovery": threshold.recovery,
        "privacy": threshold.privacy,
        "packing": threshold.packing,
        "deal_ms": dealing.best_ms,
        "seal_ms": shares.seal_ms,
        "open_ms": shares.open_ms,
        "keeper_seal_ms": whole.seal_ms,
        "keeper_open_ms": whole.open_ms,
        "prove_ms": proving[0].best_ms,
        "prove_shared_ms": proving[1].best_ms,
        "prove_cpu_ratio": proving[1].cpu_ms / proving[0].cpu_ms,
        "verify_ms": verifying[0].best_ms,
        "verify_shared_ms": verifying[1].best_ms,
        "verify_cpu_ratio": verifying[1].cpu_ms / verifying[0].cpu_ms,
        "proof_bytes": len(proofs[0]),
        "proof_shared_bytes": len(proofs[1]),
        "shares_bytes": sum(len(share) for share in dealt[0].shares),
        "sealed_bytes": shares.sealed_bytes,
        "keeper_sealed_bytes": whole.sealed_bytes,
        "check_share_ms": serving[0].best_ms,
        "add_shares_ms": serving[1].best_ms,
        "answer_bytes": len(answers[1]),
        "recover_ms": recovering[0].best_ms,
        "recover_with_liars_ms": recovering[1].best_ms,
        "liars_named": list(recovering[1].result),
        "soundness_bits": verifying[1].result.soundness_bits,
    }


@dataclass(frozen=True)
class _Sealing:
    """``seal_ms`` and ``sealed_bytes``: of all secrets, each to a recipient of its own; ``open_ms``: of one."""

    seal_ms: float
    sealed_bytes: int
    open_ms: float


def _sealing(secrets: Sequence[bytearray]) -> _Sealing:
    with tempfile.TemporaryDirectory(prefix="quatrefoil-committee-") as folder:
        authority = CertificateAuthority.create(Path(folder) / "ca", "bench", clock=system_clock)
        identity = authority.issue("silo", "silo", directory=Path(folder) / "silo")
        security = PostQuantumTransport(identity, authority.trust, clock=system_clock)
        recipient, context = security.new_recipient(), bytes(32)

        def seal() -> list[bytes]:
            return [security.seal(recipient.public, secret, context=context) for secret in secrets]

        def open_one() -> None:
            plaintext = recipient.open(sealed[0], context=context).plaintext
            plaintext[:] = bytes(len(plaintext))

        (sealing,) = in_turns(REPETITIONS, seal)
        sealed = seal()
        (opening,) = in_turns(REPETITIONS, open_one)
    return _Sealing(sealing.best_ms, sum(map(len, sealed)), opening.best_ms)


def _wipe(all_hidden: list[HiddenUpdate]) -> None:
    for hidden in all_hidden:
        hidden.key[:] = bytes(len(hidden.key))
        hidden.noise[:] = bytes(len(hidden.noise))


__all__ = ["SIZES", "measure_committee", "measure_sizes"]

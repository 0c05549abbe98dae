"""What a served model and encrypted computing can take: sizes, depth and kinds of numbers, refused with both figures.

The parameter sets are those that are priced; a phase uses one that it fits and that is exact enough. Their numbers
stand here, so that planning needs neither kernel nor SEAL; a test holds them to the sets and to what ``analytics``
refuses.
"""

from __future__ import annotations

from math import ceil

from quatrefoil.planner import encrypted, serving
from quatrefoil.planner.serving import SEALED_UNDER
from quatrefoil.policy import Policy
from quatrefoil.wire import LARGEST_MESSAGE
from quatrefoil.workload import Phase

SETS = {
    "ckks-linear-4096": (4096, 65_649),
    "bgv-linear-4096": (4096, 65_649),
    "ckks-product-8192": (4096, 262_257),
    "bgv-product-8192": (8192, 262_257),
}
"""Parameter set -> values in a ciphertext, and its bytes."""

MOST_COLUMNS = 4096
MOST_SUMMED_CHUNKS = 63
"""Ciphertexts of one column, before sums over slots of ckks-product-8192 overflow."""

NETWORK_SLOTS = 4096
MOST_VECTORS = 64
"""Vectors of hidden units of one network."""

_BYTES_OF_A_NUMBER = 4
_NO_VARIANCE = "a single row has no variance"
_FRAME = 65_536
"""Bytes of a message of ciphertexts that are left to everything else."""


def unserved(phase: Phase, policy: Policy) -> str:
    """Why no served model can answer ``phase``; "" where one can, and where none is asked."""
    if phase.kind not in serving.KINDS:
        return ""
    if phase.kind == "summarise" and phase.batch < 2:
        return _NO_VARIANCE
    size = max(_asked(phase), _answered(phase))
    if size > LARGEST_MESSAGE:
        return f"messages have {size} bytes, and a sealed one holds at most {LARGEST_MESSAGE}"
    if policy.channels != SEALED_UNDER:
        return f"it seals requests under {SEALED_UNDER}, and transport.policy asks for {policy.channels}"
    return ""


def uncomputed(phase: Phase, backend: str) -> str:
    """Why ``phase`` cannot be computed encrypted by ``backend``, which is one for its kind; "" where it can."""
    if phase.kind == "infer" and (unlike := _network(phase)):
        return unlike
    sets = encrypted.PARAMETER_SETS.get((phase.kind, backend), ())
    if not sets:
        return "nothing says what it costs there"
    if (phase.kind, backend) == ("score", "bgv") and phase.largest_error != 0:
        return "it computes with integers, and no largest_error = 0 says that rows and weights are such"
    if phase.kind == "summarise" and phase.batch < 2:
        return _NO_VARIANCE
    # Where none fits, the numbers are those of the one that takes the most.
    return "" if fitting_sets(phase, backend) else misfit(phase, sets[0])


def fitting_sets(phase: Phase, backend: str) -> tuple[str, ...]:
    """The parameter sets that ``phase`` fits, the coarsest first; none where ``backend`` computes nothing in it."""
    return tuple(name for name in encrypted.PARAMETER_SETS.get((phase.kind, backend), ()) if not misfit(phase, name))


def misfit(phase: Phase, parameter_set: str) -> str:
    """Why the rows and columns of ``phase`` do not fit this set; "" where they do."""
    if phase.kind == "infer":
        return ""
    columns, sums, _ = encrypted.shape(phase)
    slots, size = SETS[parameter_set]
    chunks = ceil(phase.batch / slots)
    if phase.kind == "summarise" and chunks > MOST_SUMMED_CHUNKS:
        return f"it adds up at most {MOST_SUMMED_CHUNKS * slots} rows, not {phase.batch}"
    if columns > MOST_COLUMNS:
        return f"a table has at most {MOST_COLUMNS} columns, not {columns}"
    for what, ciphertexts in (("the table", columns * chunks), ("the answer", sums or chunks)):
        if (needed := ciphertexts * (size + 16)) > LARGEST_MESSAGE - _FRAME:
            return f"{what} has {needed} bytes encrypted, and a message holds at most {LARGEST_MESSAGE - _FRAME}"
    return ""


def _network(phase: Phase) -> str:
    if not phase.hidden:
        return "it evaluates a dense, a squaring and a dense layer, and the phase gives no `hidden` of such a network"
    if phase.parameters > NETWORK_SLOTS:
        return f"a network has at most {NETWORK_SLOTS} inputs, not {phase.parameters}"
    vectors = ceil(_power(max(2, phase.parameters)) * _power(phase.hidden) / NETWORK_SLOTS)
    if vectors > MOST_VECTORS:
        return f"{phase.parameters} inputs and {phase.hidden} hidden units fill {vectors} vectors, over {MOST_VECTORS}"
    return ""


def _asked(phase: Phase) -> int:
    """Bytes of a request. Of categories, two columns are counted at once."""
    if phase.kind == "infer":
        return phase.message_bytes
    return phase.batch * (2 if phase.kind == "count" else phase.parameters) * _BYTES_OF_A_NUMBER


def _answered(phase: Phase) -> int:
    """Bytes of its answer: scores; means, covariances and correlations; or cells."""
    if phase.kind == "infer":
        return phase.message_bytes
    columns = phase.parameters
    numbers = {"score": phase.batch, "summarise": columns + 2 * columns**2, "count": columns}[phase.kind]
    return numbers * _BYTES_OF_A_NUMBER


def _power(number: int) -> int:
    """The smallest power of two that is at least ``number``."""
    return 1 << (number - 1).bit_length()


__all__ = ["fitting_sets", "misfit", "uncomputed", "unserved"]

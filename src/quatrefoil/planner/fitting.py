"""What a served model and encrypted computing can take: sizes, depth and kinds of numbers, refused with both figures.

The parameter sets are those that are priced. Their numbers stand here, so that planning needs neither kernel nor SEAL;
a test holds them to the sets and to what ``analytics`` refuses.
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
MOST_GROUPS = 64
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
    if phase.kind == "infer" and (misfit := _network(phase)):
        return misfit
    if (phase.kind, backend) not in encrypted.PARAMETER_SETS:
        return "nothing says what it costs there"
    if phase.kind == "infer":
        return ""
    if (phase.kind, backend) == ("score", "bgv") and phase.largest_error != 0:
        return "it computes with integers, and no largest_error = 0 says that rows and weights are such"
    columns, sums, _ = encrypted.shape(phase)
    slots, size = SETS[encrypted.PARAMETER_SETS[phase.kind, backend]]
    chunks = ceil(phase.batch / slots)
    if phase.kind == "summarise" and phase.batch < 2:
        return _NO_VARIANCE
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
    groups = ceil(_power(max(2, phase.parameters)) * _power(phase.hidden) / NETWORK_SLOTS)
    if groups > MOST_GROUPS:
        return f"{phase.parameters} inputs and {phase.hidden} hidden units fill {groups} vectors, over {MOST_GROUPS}"
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


__all__ = ["uncomputed", "unserved"]

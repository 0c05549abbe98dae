"""The keeper's check: v belongs to the key that the seed expands to (docs/proofs.md, Key binding)."""

from __future__ import annotations

from collections.abc import Sequence

from .encryption import pad, secret
from .errors import Rejected
from .field import Ext, base, evaluate
from .shape import ParameterSet, log2
from .transcript import Transcript


def key_point(statement_digest: bytes, root1: bytes, N: int) -> list[Ext]:
    """zeta, from what the silo signed."""
    transcript = Transcript(statement_digest)
    transcript.absorb("root1", root1)
    return transcript.draw("zeta").elements(log2(N))


def check_key(statement_digest: bytes, root1: bytes, v: Ext, key: Sequence[int], key_pad: Ext) -> None:
    """v = s~(zeta) + pi. It says something only beside a verified proof of the same statement, root 1 and v."""
    zeta = key_point(statement_digest, root1, len(key))
    if evaluate([base(x) for x in key], zeta) + key_pad != v:
        raise Rejected("the key is not the one in the ciphertext")


def check_key_seed(parameters: ParameterSet, statement_digest: bytes, root1: bytes, v: Ext, key_seed: bytes) -> None:
    check_key(statement_digest, root1, v, secret(parameters, key_seed), pad(parameters, key_seed))

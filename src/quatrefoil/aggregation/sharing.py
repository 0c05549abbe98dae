"""Keys in shares: dealt by a silo, added by members of a committee, and recovered from their answers.

docs/committee.md defines the sharing and every byte; unaudited.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from quatrefoil import _core
from quatrefoil.aggregation.ciphertext import VERSION, check_keys, check_roster, key_header
from quatrefoil.aggregation.parameters import NAMED, ParameterSet
from quatrefoil.contracts import LARGEST_TRIALS, DealtKey, Recovered, Threshold
from quatrefoil.errors import CiphertextRefused, ParametersRefused

_ANSWER = struct.Struct("<8sHHI32sIII")
_MAGIC = b"QFSHRSUM"
SEED_BYTES = 32


def deal(parameters: ParameterSet, key: bytes | bytearray, threshold: Threshold, randomness: bytearray) -> DealtKey:
    """The key of a 32-byte seed in shares. ``randomness``: 32 fresh bytes, which become ``DealtKey.hidden``."""
    if len(key) != SEED_BYTES:
        raise ParametersRefused(
            f"a key of {len(key)} bytes is not {SEED_BYTES}", hint="Deal the key of an encryption, as it is"
        )
    shares, commitments = _core.deal_key(parameters.layout, _numbers(threshold), key, randomness)
    return DealtKey(threshold, tuple(shares), tuple(commitments), randomness)


def add(parameters: ParameterSet, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
    """A member's answer for the contributions that these are its shares of."""
    check_roster(parameters, len(shares))
    check_keys(shares, _core.share_bytes(_numbers(threshold)), what="share")
    try:
        return _core.add_shares(_header(parameters, threshold, len(shares)), _numbers(threshold), shares)
    except _core.ShareRefused as error:
        raise CiphertextRefused(
            f"share {error.args[0]} holds a word that is not below the modulus",
            hint="Check shares against their dealers' proofs before they are added",
        ) from None


def recover(
    parameters: ParameterSet,
    answers: Mapping[int, bytes],
    threshold: Threshold,
    *,
    count: int,
    decrypts: Callable[[bytes], bool],
) -> Recovered:
    """The sum of ``count`` keys from members' answers. ``decrypts`` says whether a combined key leaves no residual that
    is too large: only the right one passes.

    A set of answers with a lie in it gives a key with coefficients that are no sums of secrets, all but surely, or else
    one that does not decrypt. Sets are tried in the order of their last member, so that f liars among
    ``threshold.recovery`` + f answers take C(recovery + f, f) trials at the most.
    """
    for member in answers:
        if type(member) is not int or not 1 <= member <= threshold.members:
            raise ParametersRefused(
                f"there is no member {member} in a committee of {threshold.members}", hint="Number members from 1 on"
            )
    header = _header(parameters, threshold, count)
    expected = len(header) + 8 * _core.share_words(_numbers(threshold))
    formed = {k: answer for k, answer in sorted(answers.items()) if _has_form(answer, header, expected)}
    malformed = set(answers) - set(formed)
    if len(formed) < threshold.recovery:
        raise CiphertextRefused(
            f"{len(formed)} well-formed answers of members are fewer than {threshold.recovery}",
            hint="Wait for more members to answer, or void the round",
        )
    words = [(k, answer[len(header) :]) for k, answer in formed.items()]
    trial = 0
    while trial < LARGEST_TRIALS:
        found = _core.recover_key(
            key_header(parameters, count),
            _numbers(threshold),
            words,
            largest=count * parameters.eta,
            first=trial,
            end=LARGEST_TRIALS,
        )
        if found is None:
            break
        trial, combined, wrong = found
        if decrypts(combined):
            return Recovered(combined, tuple(sorted(malformed | set(wrong))))
        trial += 1
    raise CiphertextRefused(
        f"no {threshold.recovery} of {len(formed)} answers of members give a key that decrypts the sum",
        hint="Wait for more members to answer, or void the round: more of them lie than was allowed for, or the sum is "
        "not that of the roster they answered",
    )


def liars(answers: Mapping[int, bytes]) -> tuple[int, ...]:
    """Who of these members answered something else than the sum of its shares, for whoever has the answers alone: all
    that :func:`recover` needs to know is in their first bytes. ``CiphertextRefused`` where they do not tell.

    Whether the key decrypts is left out: that its coefficients are sums of secrets, a wrong one passes all but never.
    """
    heads = Counter(answer[: _ANSWER.size] for answer in answers.values())
    (head, _), *_ = heads.most_common(1) or [(b"", 0)]
    known = {one.digest(): one for one in NAMED.values()}
    try:
        _magic, _version, _reserved, count, digest, *numbers = _ANSWER.unpack(head)
        parameters, threshold = known[digest], Threshold(*numbers)
    except (struct.error, KeyError, ParametersRefused):
        raise CiphertextRefused(
            "the answers are no sums of shares under a known parameter set", hint="Take them as they were logged"
        ) from None
    if not 1 <= count <= parameters.max_silos or any(not 1 <= member <= threshold.members for member in answers):
        raise CiphertextRefused("the answers are of no committee that there is", hint="Take them as they were logged")
    return recover(parameters, answers, threshold, count=count, decrypts=lambda _: True).liars


def _numbers(threshold: Threshold) -> tuple[int, int, int]:
    return threshold.members, threshold.privacy, threshold.packing


def _header(parameters: ParameterSet, threshold: Threshold, count: int) -> bytes:
    return _ANSWER.pack(_MAGIC, VERSION, 0, count, parameters.digest(), *_numbers(threshold))


def _has_form(answer: bytes, header: bytes, expected: int) -> bool:
    if len(answer) != expected or answer[: len(header)] != header:
        return False
    return _core.words_below_modulus(answer[len(header) :])


__all__ = ["add", "deal", "liars", "recover"]

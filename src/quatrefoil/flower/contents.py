"""What a message of Flower carries under its seal: to a silo answers and configurations, from it a question and
metrics.

Read as strictly as anything from outside. Nothing here needs Flower: a silo's seat reads it too. Values of metrics and
configurations are CBOR in deterministic form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cbor2

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.flower.replay import MOST_ANSWERS, Answered, decode_answers, encode_answers
from quatrefoil.wire import parse_cbor

HINT = "Check that SuperNodes and ServerApp run the same version of Quatrefoil"

TRAIN, EVALUATE = "train", "evaluate"
"""Kinds of Flower's messages: apps have functions for these. All that is no evaluation goes as ``train``."""

Value = int | float | str | bytes | bool | list[int] | list[float] | list[str] | list[bytes] | list[bool]
Values = dict[str, Value]


@dataclass(frozen=True)
class ForSilo:
    """What a silo is sent: answers to its questions; the names of the model's arrays; what the app is configured with;
    and the round that is to be evaluated, 0 for none."""

    answers: Sequence[Answered]
    names: Sequence[str]
    config: Mapping[str, Value]
    evaluate: int = 0

    def encode(self) -> bytes:
        evaluate = self.evaluate.to_bytes(8, "big")
        names = [name.encode() for name in self.names]
        return parts.join([encode_answers(self.answers), parts.join(names), encode_values(self.config), evaluate])

    @classmethod
    def decode(cls, data: bytes) -> ForSilo:
        answers, names, config, evaluate = parts.split(data, 4)
        named = [_text(name) for name in parts.split_list(names, 1 << 20)]
        if len(evaluate) != 8:
            raise MessageRefused(f"a round to evaluate is said in {len(evaluate)} bytes, not 8", hint=HINT)
        return cls(decode_answers(answers), named, decode_values(config), int.from_bytes(evaluate, "big"))


@dataclass(frozen=True)
class FromSilo:
    """What it replies: the next question, empty when it has none; the answers that it needs no more, by position; the
    metrics that it shows; why it stopped, empty if it did not; and what its app did, ``train``, ``evaluate`` or
    nothing: with a message that a silo is to train or evaluate with it may have something else to ask first."""

    question: bytes
    done: Sequence[int]
    metrics: Mapping[str, Value]
    fault: str = ""
    did: str = ""

    def encode(self) -> bytes:
        done = cbor2.dumps(list(self.done), canonical=True)
        fault = self.fault.encode("utf-8", "replace")
        return parts.join([self.question, done, encode_values(self.metrics), fault, self.did.encode()])

    @classmethod
    def decode(cls, data: bytes) -> FromSilo:
        question, done, metrics, fault, did = parts.split(data, 5)
        if did not in (b"", TRAIN.encode(), EVALUATE.encode()):
            raise MessageRefused(f"a silo's app is said to {did[:20]!r}", hint=HINT)
        positions = parse_cbor(done, "list of answers")
        is_list = isinstance(positions, list) and len(positions) <= MOST_ANSWERS
        if not is_list or not all(type(one) is int and 0 <= one < MOST_ANSWERS for one in positions):
            raise MessageRefused("a silo's list of answers is no list of positions", hint=HINT)
        if cbor2.dumps(positions, canonical=True) != done:
            raise MessageRefused("a silo's list of answers is not in deterministic form", hint=HINT)
        return cls(question, positions, decode_values(metrics), _text(fault), _text(did))


def encode_values(values: Mapping[str, Value]) -> bytes:
    """A record of metrics or of a configuration."""
    for key, value in values.items():
        if not _is_value(value):
            raise CallerError(
                f"{key!r} holds a {type(value).__name__}, which no record of Flower does",
                hint="Give numbers, strings, bytes, booleans, or lists of one of them",
            )
    return cbor2.dumps(dict(values), canonical=True)


def decode_values(data: bytes) -> Values:
    """The same from outside, or ``MessageRefused``."""
    values = parse_cbor(data, "record")
    if not isinstance(values, dict) or cbor2.dumps(values, canonical=True) != data:
        raise MessageRefused("a record is no table of values in deterministic form", hint=HINT)
    for key, value in values.items():
        if not isinstance(key, str) or not _is_value(value):
            raise MessageRefused("a record holds what no record of Flower does", hint=HINT)
    return values


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MessageRefused("a message holds text that is not UTF-8", hint=HINT) from None


def _is_value(value: object) -> bool:
    plain = (int, float, str, bytes, bool)
    if isinstance(value, list):
        return len({type(item) for item in value}) <= 1 and all(type(item) in plain for item in value)
    return type(value) in plain


__all__ = ["EVALUATE", "HINT", "TRAIN", "ForSilo", "FromSilo", "Value", "Values", "decode_values", "encode_values"]

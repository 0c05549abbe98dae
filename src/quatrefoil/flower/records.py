"""What crosses Flower: sealed bytes in an array of ``uint8``, a session and a number beside them, and nothing else.

Flower splits arrays into chunks, so what is carried may be large; what is inside is read here as strictly as anything
from outside. Values of metrics and configurations are CBOR in deterministic form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cbor2

from quatrefoil.errors import CallerError, DependencyMissing, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.flower.replay import Answered, decode_answers, encode_answers
from quatrefoil.wire import parse_cbor

try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
except ImportError:
    raise DependencyMissing("flwr is not installed", hint="pip install 'quatrefoil[flower]'") from None

RECORD = "quatrefoil"
STYPE = "quatrefoil.sealed/1"
_ARRAY = "sealed"
_HELLO, _SESSION, _NUMBER = "hello", "session", "number"
_HINT = "Check that SuperNodes and ServerApp run the same version of Quatrefoil"

Value = int | float | str | bytes | bool | list[int] | list[float] | list[str] | list[bytes] | list[bool]
Values = dict[str, Value]


@dataclass(frozen=True)
class Carried:
    """A message of ours: bytes, and what they are sealed as. ``hello``: the bytes say hello, or answer one."""

    payload: bytes
    hello: bool = False
    session: bytes = b""
    number: int = 0

    def record(self) -> RecordDict:
        """As what Flower carries."""
        array = Array(dtype="uint8", shape=(len(self.payload),), stype=STYPE, data=self.payload)
        said = ConfigRecord({_HELLO: self.hello, _SESSION: self.session, _NUMBER: self.number})
        return RecordDict({RECORD: ArrayRecord({_ARRAY: array}), f"{RECORD}-as": said})

    @classmethod
    def read(cls, content: RecordDict) -> Carried:
        """What Flower delivered, or ``MessageRefused``."""
        try:
            array, said = content[RECORD][_ARRAY], content[f"{RECORD}-as"]
            hello, session, number = said[_HELLO], said[_SESSION], said[_NUMBER]
        except (KeyError, TypeError):
            raise MessageRefused(
                "a message of Flower came that is none of ours",
                hint="Use ConfidentialStrategy in the ServerApp and confidential_mod in the ClientApp",
            ) from None
        plain = isinstance(hello, bool) and isinstance(session, bytes) and isinstance(number, int)
        if not plain or array.stype != STYPE or not 0 <= number < 1 << 64:
            raise MessageRefused("a message is not in the form that this version carries", hint=_HINT)
        return cls(bytes(array.data), hello, session, number)


# ---------------------------------------------------------------------------------------------------------- contents


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
        named = [name.decode("utf-8", "replace") for name in parts.split_list(names, 1 << 20)]
        return cls(decode_answers(answers), named, decode_values(config), int.from_bytes(evaluate, "big"))


@dataclass(frozen=True)
class FromSilo:
    """What it replies: the next question, empty when it has none; the answers that it needs no more, by position; the
    metrics that it shows, with the round that they are of; and why it stopped, empty if it did not."""

    question: bytes
    done: Sequence[int]
    metrics: Mapping[str, Value]
    fault: str = ""

    def encode(self) -> bytes:
        done = cbor2.dumps(list(self.done), canonical=True)
        return parts.join([self.question, done, encode_values(self.metrics), self.fault.encode()])

    @classmethod
    def decode(cls, data: bytes) -> FromSilo:
        question, done, metrics, fault = parts.split(data, 4)
        positions = parse_cbor(done, "list of answers")
        if not isinstance(positions, list) or not all(type(one) is int and one >= 0 for one in positions):
            raise MessageRefused("a silo's list of answers is no list of positions", hint=_HINT)
        return cls(question, positions, decode_values(metrics), fault.decode("utf-8", "replace"))


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
        raise MessageRefused("a record is no table of values in deterministic form", hint=_HINT)
    for key, value in values.items():
        if not isinstance(key, str) or not _is_value(value):
            raise MessageRefused("a record holds what no record of Flower does", hint=_HINT)
    return values


def _is_value(value: object) -> bool:
    plain = (int, float, str, bytes, bool)
    if isinstance(value, list):
        return len({type(item) for item in value}) <= 1 and all(type(item) in plain for item in value)
    return type(value) in plain


__all__ = ["Carried", "ForSilo", "FromSilo", "Value", "Values", "decode_values", "encode_values"]

"""What crosses Flower: sealed bytes in an array of ``uint8``, a session and a number beside them, and nothing else.

Flower splits arrays into chunks, so what is carried may be large. What is inside is in ``contents``.
"""

from __future__ import annotations

from dataclasses import dataclass

from quatrefoil.errors import DependencyMissing, MessageRefused

try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
except ImportError:
    raise DependencyMissing("flwr is not installed", hint="pip install 'quatrefoil[flower]'") from None

RECORD = "quatrefoil"
STYPE = "quatrefoil.sealed/1"
_ARRAY = "sealed"
_HELLO, _SESSION, _NUMBER = "hello", "session", "number"
_HINT = "Check that SuperNodes and ServerApp run the same version of Quatrefoil"


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


__all__ = ["Carried"]

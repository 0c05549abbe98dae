"""Signed notes: text, and lines of signatures under it. C2SP signed-note.

A signature names its key by a name and four bytes (the key id). Lines of keys that a verifier does not know are passed
over, which is what lets witnesses and new keys be added; a line of a key that it knows has to verify.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from dataclasses import dataclass

from quatrefoil.errors import EvidenceRejected

MOST_SIGNATURES = 128
LARGEST_NOTE = 1 << 20
"""Bytes; 128 signatures of ML-DSA-44 take 420 KB."""

_EM_DASH = "\u2014"
_HINT = "Fetch it again; nothing may be read out of a note whose form or signatures do not hold"


@dataclass(frozen=True)
class NoteSignature:
    """One line: the key's name and id, and what that kind of key makes of the note."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """With its newline."""
        return f"{_EM_DASH} {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True)
class Note:
    """``text`` ends with a newline."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        return (self.text + "\n" + "".join(one.line for one in self.signatures)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Note:
        """Parse a note strictly; its signatures have still to be verified."""
        if len(data) > LARGEST_NOTE:
            raise _malformed(f"has {len(data)} bytes, over the limit of {LARGEST_NOTE}")
        try:
            content = data.decode()
        except UnicodeDecodeError:
            raise _malformed("is not UTF-8") from None
        if any(character < " " and character != "\n" for character in content):
            raise _malformed("holds a control character")
        text, found, lines = content.rpartition("\n\n")
        if not found or not lines:
            raise _malformed("has no signatures")
        return cls(text + "\n", read_signatures(lines))


def read_signatures(lines: str) -> tuple[NoteSignature, ...]:
    """Lines of signatures, as they stand under a note, or as a witness answers with."""
    if not lines.endswith("\n"):
        raise _malformed("does not end with a newline")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MOST_SIGNATURES:
        raise _malformed(f"has {len(signatures)} signatures, over the limit of {MOST_SIGNATURES}")
    return signatures


def _signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    content = canonical_base64(encoded)
    if dash != _EM_DASH or not is_key_name(name) or content is None or len(content) < 5:
        raise _malformed("has a line that is no signature")
    return NoteSignature(name, content[:4], content[4:])


def is_key_name(name: str) -> bool:
    """Whether a key may have this name: not empty, no Unicode space, no plus."""
    return bool(name) and not any(
        character == "+" or character.isspace() or unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc")
        for character in name
    )


@dataclass(frozen=True)
class VerifierKey:
    """A public key as a verifier is given it: ``name``, the byte of its signature type, and the key itself."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def encode(self) -> str:
        """A vkey: ``name+id+key``."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    @classmethod
    def decode(cls, text: str) -> VerifierKey:
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        content = canonical_base64(encoded)
        if not is_key_name(name) or content is None or len(content) < 2:
            raise EvidenceRejected("a verifier key is not of the form name+id+key", hint="Copy it again")
        key = cls(name, content[0], content[1:])
        if key.key_id.hex() != key_id:
            raise EvidenceRejected(
                f"the verifier key of {name} has another id than its key gives", hint="Copy it again"
            )
        return key

    def signed(self, signature: NoteSignature) -> bool:
        """Whether a line is of this key, by name and id; whether it verifies is another question."""
        return (signature.name, signature.key_id) == (self.name, self.key_id)


def canonical_base64(text: str) -> bytes | None:
    """Canonical standard base64, or None."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if base64.b64encode(content).decode() == text else None


def _malformed(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"the signed note {problem}", hint=_HINT, check="checkpoint")

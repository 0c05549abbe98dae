"""Oblivious and Binary HTTP by hand, over hmac and the bare primitives: slow, and nothing of ours.

Written from RFC 9180, RFC 9292, RFC 9458 and draft-ietf-ohai-chunked-ohttp a second time. Secrets and randomness are
plain arguments. Whole byte strings in, whole byte strings out; what does not fit raises anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import x25519
from tests.reference import hpke


@dataclass
class Context:
    """What the key schedule gives (RFC 9180 section 5.1), and how many messages there have been."""

    identifiers: bytes
    key: bytes
    nonce: bytes
    exporter: bytes
    count: int = 0

    def next_nonce(self) -> bytes:
        self.count += 1
        return nonce_of(self.nonce, self.count - 1)

    def export(self, label: bytes, length: int) -> bytes:
        return hpke.labelled_expand(self.identifiers, self.exporter, b"sec", label, length)


def context(identifiers: bytes, shared: bytes, info: bytes, key_bytes: int) -> Context:
    keyed = b"\x00" + hpke.labelled_extract(identifiers, b"", b"psk_id_hash", b"")
    keyed += hpke.labelled_extract(identifiers, b"", b"info_hash", info)
    secret = hpke.labelled_extract(identifiers, shared, b"secret", b"")
    one = [
        hpke.labelled_expand(identifiers, secret, label, keyed, length)
        for label, length in ((b"key", key_bytes), (b"base_nonce", 12), (b"exp", 32))
    ]
    return Context(identifiers, *one)


def nonce_of(base: bytes, number: int) -> bytes:
    return bytes(one ^ other for one, other in zip(base, number.to_bytes(12, "big"), strict=True))


def dhkem(key: x25519.X25519PrivateKey, share: bytes, kem_context: bytes) -> bytes:
    """The shared secret of DHKEM(X25519, HKDF-SHA256) (RFC 9180 section 4.1)."""
    suite = b"HPKE-v1KEM\x00\x20"
    prk = hmac.digest(
        bytes(32), suite + b"eae_prk" + key.exchange(x25519.X25519PublicKey.from_public_bytes(share)), "sha256"
    )
    return hmac.digest(prk, b"\x00\x20" + suite + b"shared_secret" + kem_context + b"\x01", "sha256")


def xwing_halves(seed: bytes) -> tuple[Any, Any]:
    return hpke.expand_seed(hpke.XWING, seed)


def xwing_shared(halves: tuple[Any, Any], enc: bytes) -> bytes:
    return hpke.decapsulate(*halves, enc)


# --------------------------------------------------------------------------------------------------- RFC 9458, draft

Cipher = Callable[[bytes], Any]
"""An AEAD of ``cryptography`` under a key."""


def info(header: bytes, label: bytes) -> bytes:
    return label + b"\x00" + header


def response_key(opened: Context, enc: bytes, nonce: bytes, label: bytes, key_bytes: int) -> tuple[bytes, bytes]:
    """Key and nonce of a response (RFC 9458 section 4.4)."""
    secret = opened.export(label, max(12, key_bytes))
    prk = hmac.digest(enc + nonce, secret, "sha256")
    return (
        hmac.digest(prk, b"key\x01", "sha256")[:key_bytes],
        hmac.digest(prk, b"nonce\x01", "sha256")[:12],
    )


def open_chunks(stream: bytes, cipher: Any, base: bytes) -> list[bytes]:
    """The plaintext of every chunk of a whole stream; the last one is the final one."""
    found = []
    while True:
        length, stream = integer(stream)
        nonce = nonce_of(base, len(found))
        if length == 0:
            return [*found, cipher.decrypt(nonce, stream, b"final")]
        found.append(cipher.decrypt(nonce, stream[:length], b""))
        assert found[-1], "a chunk that is not the last is not empty"
        stream = stream[length:]


def seal_chunks(chunks: list[bytes], cipher: Any, base: bytes) -> bytes:
    *before, last = chunks
    out = b""
    for number, chunk in enumerate(before):
        sealed = cipher.encrypt(nonce_of(base, number), chunk, b"")
        out += number_of(len(sealed)) + sealed
    return out + b"\x00" + cipher.encrypt(nonce_of(base, len(before)), last, b"final")


# ------------------------------------------------------------------------------------------------------- RFC 9292


def integer(data: bytes) -> tuple[int, bytes]:
    size = (1, 2, 4, 8)[data[0] >> 6]
    assert len(data) >= size
    return int.from_bytes(bytes([data[0] & 63]) + data[1:size], "big"), data[size:]


def number_of(value: int) -> bytes:
    if value < 64:
        return bytes([value])
    if value < 16384:
        return (value | 0x4000).to_bytes(2, "big")
    return (value | 0x8000_0000).to_bytes(4, "big")


def text(data: bytes) -> tuple[bytes, bytes]:
    length, data = integer(data)
    assert len(data) >= length
    return data[:length], data[length:]


def section(data: bytes, known: bool) -> tuple[list[tuple[bytes, bytes]], bytes]:
    if not data:
        return [], data
    lines = []
    if known:
        inner, data = text(data)
        while inner:
            name, inner = text(inner)
            value, inner = text(inner)
            assert name
            lines.append((name, value))
        return lines, data
    while True:
        name, data = text(data)
        if not name:
            return lines, data
        value, data = text(data)
        lines.append((name, value))


def content(data: bytes, known: bool) -> tuple[bytes, bytes]:
    if not data:
        return b"", data
    part, data = text(data)
    whole = part
    while part and not known:
        part, data = text(data)
        whole += part
    return whole, data


def parse(data: bytes) -> dict[str, Any]:
    """A message in parts: ``control`` (four texts, or a status), ``informational``, ``fields``, ``content``,
    ``trailers``."""
    indicator, data = integer(data)
    assert indicator < 4
    known, informational = indicator < 2, []
    if indicator % 2 == 0:
        control: Any = []
        for _ in range(4):
            part, data = text(data)
            control.append(part)
    else:
        while True:
            control, data = integer(data)
            if control >= 200:
                break
            assert data
            fields, data = section(data, known)
            informational.append((control, fields))
    fields, data = section(data, known)
    body, data = content(data, known)
    trailers, data = section(data, known)
    assert not any(data)
    found = {
        "control": control,
        "informational": informational,
        "fields": fields,
        "content": body,
        "trailers": trailers,
    }
    return found

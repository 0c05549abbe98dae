"""The keys of a response, from the context of its request (RFC 9458 section 4.4; chunked: draft section 6.2).

    secret = context.Export(label, max(Nn, Nk))
    prk    = Extract(enc || response_nonce, secret)
    key    = Expand(prk, "key", Nk),  nonce = Expand(prk, "nonce", Nn)

So a response opens under the one request that it answers, and each has keys of its own, even if a request comes twice.

Beside it, a salt that both ends know and nobody else does: what is signed of a request and its answer commits to their
content under it, so that a commitment alone confirms no guess.

    salt   = context.Export("quatrefoil receipt salt", 32)
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quatrefoil.errors import CallerError
from quatrefoil.ohttp.hpke_context import HpkeContext, Suite
from quatrefoil.ohttp.sequence import NONCE_BYTES, Sequence

WHOLE = b"message/bhttp response"
CHUNKED = b"message/bhttp chunked response"
SALT, SALT_BYTES = b"quatrefoil receipt salt", 32


def nonce_bytes(suite: Suite) -> int:
    """Bytes of a response nonce: max(Nn, Nk)."""
    return max(NONCE_BYTES, suite.aead.key_bytes)


def fresh_nonce(suite: Suite, random: Callable[[int], bytes]) -> bytes:
    """A response nonce; ``CallerError`` where ``random`` does not give what it is asked for."""
    nonce = random(nonce_bytes(suite))
    if len(nonce) != nonce_bytes(suite):
        raise CallerError("the source of randomness gives another length", hint="Pass os.urandom, or its like")
    return nonce


class ResponseKeys:
    """What either end keeps of a request until its response. Prints without its secret."""

    def __init__(self, suite: Suite, context: HpkeContext, encapsulated: bytes, label: bytes) -> None:
        self.suite = suite
        self._encapsulated = encapsulated
        self._secret: bytearray | None = context.export(label, nonce_bytes(suite))
        self.salt = bytes(context.export(SALT, SALT_BYTES))
        """32 bytes: for whoever signs or verifies what this exchange held. Outlives :meth:`wipe`."""

    def sequence(self, response_nonce: bytes) -> Sequence:
        """The AEAD of the response with this nonce."""
        if self._secret is None:
            raise CallerError("the keys of this response have been wiped", hint="Send a new request")
        key = self._derive(b"key", self.suite.aead.key_bytes, response_nonce)
        return Sequence(self.suite.aead, key, self._derive(b"nonce", NONCE_BYTES, response_nonce))

    def _derive(self, label: bytes, length: int, response_nonce: bytes) -> bytearray:
        assert self._secret is not None
        out = bytearray(length)
        HKDF(SHA256(), length, salt=self._encapsulated + response_nonce, info=label).derive_into(self._secret, out)
        return out

    def wipe(self) -> None:
        """Overwrite the secret: no response opens or can be made any more."""
        if self._secret is not None:
            self._secret[:] = bytes(len(self._secret))
            self._secret = None

    def __repr__(self) -> str:
        return f"ResponseKeys(secret=<{'wiped' if self._secret is None else 'secret'}>)"

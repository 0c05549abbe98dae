"""The one way in which a proof fails."""

from __future__ import annotations


class Rejected(Exception):
    """The proof, or the ciphertext that it is about, does not hold. The message is the reason."""

    @property
    def reason(self) -> str:
        return str(self)

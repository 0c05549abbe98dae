"""Bytes that are written on a command line."""

from __future__ import annotations

import argparse

from quatrefoil.errors import CallerError

DIGEST_BYTES = 32


def octets(option: str, text: str) -> bytes:
    """The bytes that ``text`` writes, or ``CallerError`` naming the option."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise CallerError(f"{option} is not hexadecimal", hint="Write it as pairs of 0-9 a-f") from None


def digest(text: str) -> bytes:
    """A digest, for argparse."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != DIGEST_BYTES:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not {DIGEST_BYTES} bytes in hexadecimal")
    return found


__all__ = ["digest", "octets"]

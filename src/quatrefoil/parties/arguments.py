"""Kinds of values that options take, for argparse."""

from __future__ import annotations

import argparse
import math

from quatrefoil.errors import CallerError
from quatrefoil.transport.pins import parse_pin


def pin(text: str) -> bytes:
    """A pin, for argparse."""
    try:
        return parse_pin(text)
    except CallerError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, for argparse."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def patience(text: str) -> float:
    """A time to wait for others, for argparse: ``never`` is given up by a service that is always to run."""
    return math.inf if text == "never" else seconds(text)


def seconds(text: str) -> float:
    """A time to wait, for argparse: finite; 0 means one attempt."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def count(text: str) -> int:
    """A number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not at least 1")
    return value


def registers(text: str) -> tuple[int, ...]:
    """Numbers of registers, for argparse."""
    return tuple(int(part) for part in text.split(","))


__all__ = ["address", "count", "patience", "pin", "registers", "seconds"]

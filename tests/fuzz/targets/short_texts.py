"""Texts of one line: pins and host names as people write them, and the date of a request as its sender does."""

from __future__ import annotations

from cryptography import x509
from tests.fuzz.held import refused_or

from quatrefoil.ohttp.messages import RequestHead
from quatrefoil.ohttp.replay import date_of, http_date
from quatrefoil.transport.pins import parse_pin
from quatrefoil.transport.profile import parse_host

EPOCH_ENDS = 253402300800
"""The year 10000, which no date of HTTP reaches."""


def seeds() -> list[bytes]:
    hosts = [b"a.example", b"A.Example", b"10.0.0.1", b"fe80::1%eth0", b"::ffff:10.0.0.1", b"a..b", b"xn--bcher-kva"]
    pins = [b"ab" * 32, b"q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", b"AB " * 21 + b"A", b"=" * 44]
    dates = [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"]
    odd = [b"Sun, 06 Nov 1994 08:49:37 +0000", b"Fri, 31 Dec 9999 23:59:60 GMT", b"Sun, 06 Nov 0000 08:49:37 GMT"]
    return [*hosts, *pins, *dates, *odd, b"Sun, 06 Nov 1994 08:49:37 " + b"9" * 5000]


def one(data: bytes) -> None:
    """Each as what it may be: a pin of 32 bytes, a name that a certificate can have, a moment that is written so."""
    text = data.decode("utf-8", "replace")
    pin = refused_or(lambda: parse_pin(text))
    assert pin is None or len(pin) == 32
    host = refused_or(lambda: parse_host(text))
    if host is not None:
        x509.SubjectAlternativeName([host]).public_bytes()
    head = RequestHead(b"POST", b"https", b"a.example", b"/", ((b"date", data),))
    moment = refused_or(lambda: date_of(head))
    if moment is not None:
        from datetime import UTC, datetime

        assert moment < EPOCH_ENDS and http_date(datetime.fromtimestamp(moment, UTC)) == data.decode("latin-1")

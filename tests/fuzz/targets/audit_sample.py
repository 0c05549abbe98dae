"""Files of samples: one form, whatever their rule would draw."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.fuzz.held import refused_or_same

from quatrefoil.audit.sampling import DrawnReceipt, EndedKeyset, OpenKeyset, Sample

ONE, OTHER = bytes(range(32)), bytes(32)


def seeds() -> list[bytes]:
    drawn = (DrawnReceipt(ONE, 3, 12, OTHER), DrawnReceipt(ONE, 0, 9, ONE))
    ended = (EndedKeyset(ONE, OTHER, 4, 20, 7, ONE, True),)
    still = (OpenKeyset(OTHER, OTHER, 21, 0),)
    note = "quatrefoil/0/ward\n30\nAAAA\n\n\N{EM DASH} quatrefoil/0/ward AAAAAAAA\n"
    of = Sample.FORMAT, note, ("n+00000000+AAAA",), 0, ONE
    at = datetime(2030, 1, 1, tzinfo=UTC)
    return [
        Sample(*of, 7, ended, still, drawn, at, ONE[:16]).encode(),
        Sample(*of, 7, ended, (), drawn, None, None).encode(),
        Sample(*of, 0, (), (), (), None, ONE).encode(),
    ]


def one(data: bytes) -> None:
    refused_or_same(lambda: Sample.decode(data), lambda value: value.encode(), data)

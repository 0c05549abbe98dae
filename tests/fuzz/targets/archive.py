"""CMS archives in BER, PEM and S/MIME, down to their content."""

from __future__ import annotations

import io
from functools import cache

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.transport.cms import ClassicalKey, open_archive

FOLDER = rooms.VECTORS / "cms"


@cache
def holders() -> tuple[ClassicalKey, ...]:
    return tuple(
        ClassicalKey.read((FOLDER / f"{name}.key").read_bytes(), (FOLDER / f"{name}.crt").read_bytes())
        for name in ("rsa", "ec")
    )


def seeds() -> list[bytes]:
    return [file.read_bytes() for file in sorted(FOLDER.iterdir()) if file.suffix in (".der", ".pem", ".eml")]


def one(data: bytes) -> None:
    for holder in holders():
        content = refused_or(lambda holder=holder: open_archive(io.BytesIO(data), holder).content.read())
        assert content is None or len(content) <= len(data)

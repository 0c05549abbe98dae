"""Lines of an answer that is read as it comes: the same ones wherever its bytes are cut."""

from __future__ import annotations

from tests.fuzz.held import refused_or

from quatrefoil.client.streams import Lines


def seeds() -> list[bytes]:
    text = "data: caf\u00e9\r\n\r\ndata: \U0001f600\rdata: x\n\n\r".encode()
    return [
        bytes([step]) + one for step in (1, 2, 5) for one in (text, b"\r\n" * 9, b"\xff", b"no end", b"\xc3\r", b"\r")
    ]


def one(data: bytes) -> None:
    """The first byte says how many come at a time."""
    step, sent = max(1, data[0] if data else 1), data[1:]
    whole = refused_or(lambda: _lines(sent, len(sent) or 1))
    assert whole == refused_or(lambda: _lines(sent, step)), "pieces make other lines of it"
    if whole is not None:
        said = sent.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert whole == (said if said[-1] else said[:-1])
    else:
        assert sent.decode("utf-8", "replace").encode() != sent


def _lines(sent: bytes, step: int) -> list[str]:
    reader, found = Lines(), list[str]()
    for at in range(0, len(sent), step):
        found += reader.feed(sent[at : at + step])
    return [*found, *reader.finish()]

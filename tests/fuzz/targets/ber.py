"""BER alone, without keys: every element, and every way to read it."""

from __future__ import annotations

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.transport.cms.ber import INTEGER, OID, Node, parse_all


def seeds() -> list[bytes]:
    found = [file.read_bytes() for file in sorted((rooms.VECTORS / "cms").iterdir()) if file.suffix == ".der"]
    return [*found, b"\x06\x03\x2a\x86\x48", b"\x02\x02\xff\x7f", b"\x30\x80\x02\x01\x01\0\0"]


def one(data: bytes) -> None:
    nodes = refused_or(lambda: list(parse_all(data)))
    for node in nodes or ():
        _visit(node, 0)


def _visit(node: Node, depth: int) -> None:
    assert node.raw.endswith(node.value)
    if node.tag == OID:
        refused_or(lambda: node.dotted)
    elif node.tag == INTEGER:
        refused_or(lambda: node.number)
    for child in (refused_or(node.children) or ()) if depth < 40 else ():
        _visit(child, depth + 1)

"""A gateway with a key, and exchanges under it: what the tests of this folder begin with."""

from __future__ import annotations

from quatrefoil.ohttp import (
    GatewayKeys,
    HybridKey,
    KeyConfiguration,
    RequestOpener,
    RequestSealer,
    ResponseKeys,
    open_request,
    seal_request,
    varint,
)

LIMIT = 1 << 20
PARTS = [b"first", b"second", b"third", b"last"]


def gateway(key_id: int = 1) -> tuple[GatewayKeys, KeyConfiguration]:
    keys = GatewayKeys({key_id: HybridKey.generate()})
    return keys, keys.configurations[0]


def request_in_chunks(configuration: KeyConfiguration, chunks: list[bytes]) -> tuple[RequestSealer, bytes, list[bytes]]:
    """A sealer that has finished, the header of its request, and each chunk as it is sent, the final one last."""
    sealer = RequestSealer(configuration)
    header = sealer.seal(b"")
    sent = [sealer.seal(one) for one in chunks[:-1]]
    return sealer, header, [*sent, sealer.finish(chunks[-1])]


def opened(keys: GatewayKeys, stream: bytes, step: int = 0) -> list[bytes]:
    """The chunks that a gateway gets out of a whole stream, fed ``step`` bytes at a time."""
    opener = RequestOpener(keys, limit=LIMIT)
    found: list[bytes] = []
    for at in range(0, len(stream), step or max(1, len(stream))):
        found += opener.feed(stream[at : at + (step or len(stream))])
    return [*found, opener.finish()]


def as_final(chunk: bytes) -> bytes:
    """A chunk that was not the last one, framed as if it were."""
    return b"\x00" + chunk[varint.size_of(chunk[0]) :]


def as_not_final(final: bytes) -> bytes:
    """The last chunk, framed as if more came."""
    return varint.prefixed(final[1:])


def exchange(content: bytes = b"request") -> tuple[ResponseKeys, ResponseKeys]:
    """What client and gateway keep of one whole request."""
    keys, configuration = gateway()
    sealed, client = seal_request(configuration, content)
    return client, open_request(sealed, keys).response


def chunked_exchange() -> tuple[ResponseKeys, ResponseKeys]:
    """The same of a request in chunks."""
    keys, configuration = gateway()
    sealer, header, sent = request_in_chunks(configuration, [b"request"])
    opener = RequestOpener(keys, limit=LIMIT)
    opener.feed(header + sent[0])
    opener.finish()
    return sealer.response, opener.response

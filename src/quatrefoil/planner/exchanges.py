"""What protecting one request to a served model costs: sealed and opened at both ends, and one receipt of its answer.

The model's own computing is no part of it, nor are HTTP, waiting in a queue, and attestation, which happens once for
many requests.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from quatrefoil import ohttp
from quatrefoil.planner.costs import Line, ServingCosts
from quatrefoil.planner.stopwatch import Watch, line

CONTENT = 1 << 18
"""Bytes in the large request and in its answer; the small ones have one."""

_PADDING = ohttp.NoPadding()


def measure_exchanges(receipt: Callable[[int], bytes], watch: Watch) -> ServingCosts:
    """``receipt``: does for one receipt what both ends do, about a request and an answer of so many bytes each, and
    gives it: commit, sign, commit again, verify."""
    key = ohttp.HybridKey.generate()
    keys = ohttp.GatewayKeys({0: key})
    try:
        exchange_ms = line(watch.ms(lambda: _exchange(keys, 1)), watch.ms(lambda: _exchange(keys, CONTENT)), CONTENT)
        few, many = _exchange(keys, 1), _exchange(keys, CONTENT)
    finally:
        keys.retire(0)
    return ServingCosts(
        exchange_ms=exchange_ms,
        exchange_bytes=Line(few - 2.0, (many - few) / (CONTENT - 1)),
        receipt_ms=line(watch.mean_ms(lambda: receipt(1)), watch.mean_ms(lambda: receipt(CONTENT)), CONTENT),
        receipt_bytes=float(len(base64.b64encode(receipt(1)))),
        around_ms=Line(0.0, 0.0),
    )


def _exchange(keys: ohttp.GatewayKeys, size: int) -> int:
    """One request and one answer of ``size`` bytes, from what the client has to what it gets; the bytes of both as
    they are sent."""
    content = bytes(size)
    head = ohttp.RequestHead(b"POST", b"https", b"calibration", b"/")
    asked = ohttp.encode_request(ohttp.Request(head, content), padding=_PADDING)
    sealed, expected = ohttp.seal_request(keys.configurations[0], asked)
    opened = ohttp.open_request(sealed, keys)
    request = ohttp.decode_request(opened.content)
    answered = ohttp.encode_response(ohttp.Response(ohttp.ResponseHead(200), request.content), padding=_PADDING)
    answer = ohttp.seal_response(opened.response, answered)
    opened.response.wipe()
    ohttp.decode_response(ohttp.open_response(expected, answer))
    return len(sealed) + len(answer)


__all__ = ["measure_exchanges"]

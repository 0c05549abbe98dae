"""What the cryptography of one answer takes by itself, at both ends: what no server and no client could leave out.

Each call is measured alone, in one thread, with what it needs in the caches. Everything else that the layers add is
moving bytes, HTTP, and turns of event loops.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil import ohttp
from quatrefoil.audit.inference_receipts import commit_answer, commit_request
from quatrefoil.exchange import protocol
from quatrefoil.ohttp.sequence import AES_256_GCM, NONCE_BYTES

ANSWER_BYTES = 4 << 10
RECEIPT_BYTES = 600
"""Of what a receipt signs."""
RECORD = 1 << 14
"""Bytes of a record of TLS."""


def cryptography_ms(request_bytes: int, *, repeats: int = 200) -> dict[str, float]:
    """Milliseconds of processor time for each step, the mean of ``repeats``: how often ML-DSA tries again is random.

    ``signature``, ``verification``: of the receipt. ``seal_and_open``: of request and answer, at both ends together.
    ``commitments``: to both, at both ends. ``tls``: AES-256-GCM of their records, at both ends.
    """
    key = MLDSA44PrivateKey.generate()
    public, signed = key.public_key(), os.urandom(RECEIPT_BYTES)
    signature = key.sign(signed)
    gateway = ohttp.HybridKey.generate()
    configuration = ohttp.KeyConfiguration(protocol.key_id(gateway.public), gateway.public, ohttp.hpke_context.HYBRID)
    keys = ohttp.GatewayKeys({configuration.key_id: gateway})
    request, answer = os.urandom(request_bytes), os.urandom(ANSWER_BYTES)
    sealed, _ = ohttp.seal_request(configuration, request)
    response = ohttp.open_request(sealed, keys).response

    def exchanged() -> None:
        """An answer opens under its own request only, and once."""
        sent, opens = ohttp.seal_request(configuration, request)
        opened = ohttp.open_request(sent, keys)
        ohttp.open_response(opens, ohttp.seal_response(opened.response, answer))

    def committed() -> None:
        for _ in range(2):
            commit_request(response.salt, b"POST", b"/v2/models/m/infer", request)
            commit_answer(response.salt, 200, answer)

    cipher = AES_256_GCM.cipher(bytearray(AES_256_GCM.key_bytes))
    records = [sealed[start : start + RECORD] for start in range(0, len(sealed), RECORD)] + [answer]

    def carried() -> None:
        for number, record in enumerate(records):
            nonce = number.to_bytes(NONCE_BYTES, "big")
            cipher.decrypt(nonce, cipher.encrypt(nonce, record, b""), b"")

    return {
        "signature": _mean(lambda: key.sign(signed), repeats),
        "verification": _mean(lambda: public.verify(signature, signed), repeats),
        "seal_and_open": _mean(exchanged, repeats),
        "commitments": _mean(committed, repeats),
        "tls": _mean(carried, repeats),
    }


def _mean(step: Callable[[], object], repeats: int) -> float:
    step()
    begin = time.thread_time()
    for _ in range(repeats):
        step()
    return 1e3 * (time.thread_time() - begin) / repeats


__all__ = ["cryptography_ms"]

"""docs/attested-channels.md spoken by somebody else: TLS by rustls (AWS-LC), whose own secret gives the exporter, and
messages and report data by the slow reference. Nothing of ours is on that side.
"""

from __future__ import annotations

import hashlib
import queue
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rustls_end import RustlsEnd, context
from tests.attested import attested_parties as parties
from tests.reference import binding as reference
from tests.reference import tls13
from tests.transport.listening import listening

import attesting
from quatrefoil.appraisal import verifiers
from quatrefoil.attested import answer_async, ask_async
from quatrefoil.attested.channels import LABEL
from quatrefoil.enclave import snp
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import EvidenceRejected
from quatrefoil.transport import AsyncChannel
from quatrefoil.transport.tls_context import PROTOCOL
from support import Consortium

KEYS = reference.keyset(parties.SEALING, b"", b"", parties.moment(attesting.AT) - 60, parties.moment(attesting.AT) + 60)


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"sev-snp": lambda evidence, given, at: snp.verify(evidence, given, at, roots=attesting.roots())}
    monkeypatch.setattr(verifiers, "VERIFIERS", {**verifiers.VERIFIERS, **own})


class Foreign:
    """A silo whose TLS is rustls'. ``exported``: from the secret that rustls writes for whoever debugs it."""

    def __init__(self, consortium: Consortium, stream: socket.socket, log: Path) -> None:
        settings = context(consortium, "cleveland", "silo", server=False, alpn=PROTOCOL.decode())
        settings.keylog_filename = str(log)
        self.end = RustlsEnd(stream, settings, host="localhost")
        assert self.end.receive() == b""  # the welcome
        lines = [line.split() for line in log.read_text().splitlines()]
        self._secret = bytes.fromhex(next(line[2] for line in lines if line[0] == "EXPORTER_SECRET"))
        assert len(self._secret) == 48

    def exported(self, nonce: bytes, *, server: bool) -> bytes:
        material = reference.exporter_context(server, nonce)
        return tls13.exporter(self._secret, b"EXPORTER-quatrefoil-attestation", material, 32)


@contextmanager
def foreign(consortium: Consortium, port: int, folder: Path) -> Iterator[Foreign]:
    with socket.create_connection(("127.0.0.1", port), 10) as stream:
        made = Foreign(consortium, stream, folder / "keys.log")
        yield made
        made.end.close()


def parsed(challenge: bytes) -> tuple[bytes, str]:
    """Nonce and purpose of a challenge, by the place where they stand."""
    head = reference.challenge(b"", "")[:-2]
    nonce = challenge[len(head) + 2 : len(head) + 34]
    purpose = challenge[len(head) + 35 :].decode()
    assert reference.challenge(nonce, purpose) == challenge
    return nonce, purpose


@pytest.mark.parametrize("server", [False, True], ids=["honest", "as the other end"])
def test_rustls_attests_to_us(consortium: Consortium, tmp_path: Path, server: bool) -> None:
    """Accepted where it commits to what both ends export, and not where it takes itself for the other end."""
    seen: queue.Queue[Any] = queue.Queue()

    async def handle(channel: AsyncChannel) -> None:
        try:
            seen.put(await ask_async(channel, parties.relying_party(parties.Clock())))
        except EvidenceRejected as refused:
            seen.put(refused)

    with listening(consortium, handler=handle) as listener, foreign(consortium, listener.port, tmp_path) as client:
        nonce, purpose = parsed(client.end.receive())
        held = reference.report_data(KEYS, nonce, client.exported(nonce, server=server), purpose)
        evidence = EvidenceSet(attesting.evidence(report_data=held.ljust(64, b"\0"))).encode()
        client.end.send(reference.attestation(nonce, KEYS, evidence))
        outcome = seen.get(timeout=10)
    if server:
        assert outcome.check == "report-data"
    else:
        assert outcome.keyset.encode() == KEYS and outcome.verdict.accepted


def test_we_attest_to_rustls(consortium: Consortium, tmp_path: Path) -> None:
    """What our attester asks its hardware for is what rustls expects."""
    machine = parties.SnpMachine()
    other = parties.attester(parties.Clock(), collector=machine)

    async def handle(channel: AsyncChannel) -> None:
        await answer_async(channel, other)

    with listening(consortium, handler=handle) as listener, foreign(consortium, listener.port, tmp_path) as client:
        nonce = hashlib.sha256(b"drawn").digest()
        client.end.send(reference.challenge(nonce, parties.PURPOSE))
        answer = client.end.receive()
        expected = reference.report_data(
            other.keyset.encode(), nonce, client.exported(nonce, server=True), parties.PURPOSE
        )
    assert machine.asked == [expected]
    assert answer.startswith(reference.attestation(nonce, other.keyset.encode(), b"")[:-1])
    assert expected in answer


def test_the_exporter_of_rustls_is_ours(consortium: Consortium, tmp_path: Path) -> None:
    seen: queue.Queue[bytes] = queue.Queue()

    async def handle(channel: AsyncChannel) -> None:
        seen.put(channel.exporter(LABEL, b"client" + b"n" * 32, 32))

    with listening(consortium, handler=handle) as listener, foreign(consortium, listener.port, tmp_path) as client:
        assert seen.get(timeout=10) == client.exported(b"n" * 32, server=False)

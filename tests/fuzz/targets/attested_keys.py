"""Keysets, challenges and attestations: by the first byte, each read by who would receive it."""

from __future__ import annotations

from datetime import datetime

from tests.fuzz.held import refused_or, refused_or_same
from tests.reference import binding as reference

import attesting
from attesting import FOLDER
from quatrefoil.appraisal import load
from quatrefoil.attested import Attestation, Attester, Challenge, RelyingParty
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence, EvidenceSet

POLICY = load(FOLDER / "policy.toml")
PURPOSE = "fuzz"
NOW = int(attesting.AT.timestamp())
KEYS = Keyset(b"\x64\x7a\x00\x01\x00\x02" + b"k" * 40, b"t" * 32, b"receipt", NOW - 1, NOW + 1000)


class Machine:
    kind = "sev-snp"

    def collect(self, report_data: bytes) -> Evidence:
        return attesting.evidence(report_data=report_data.ljust(64, b"\0"))


def clock() -> datetime:
    return attesting.AT


def seeds() -> list[bytes]:
    """What our own side writes, and what the slow reference does."""
    attester = Attester(KEYS, Machine(), purposes=[PURPOSE], clock=clock)
    challenge = Challenge(bytes(32), PURPOSE).encode()
    evidence = EvidenceSet(attesting.evidence()).encode()
    return [
        b"\0" + KEYS.encode(),
        b"\1" + challenge,
        b"\2" + attester.answer(challenge, b""),
        b"\2" + reference.attestation(bytes(32), reference.keyset(b"", b"t" * 32, b"", 0, NOW + 1), evidence),
    ]


def one(data: bytes) -> None:
    if (which := data[:1]) == b"\0":
        keys = refused_or_same(lambda: Keyset.decode(data[1:]), Keyset.encode, data[1:])
        if keys is not None:
            refused_or(lambda: keys.require_current(attesting.AT))
            refused_or(lambda: (keys.sealing_suite, keys.sealing_public))
    elif which == b"\1":
        refused_or_same(lambda: Challenge.decode(data[1:]), Challenge.encode, data[1:])
    else:
        refused_or_same(lambda: Attestation.decode(data[1:]), Attestation.encode, data[1:])
        party = RelyingParty(POLICY, Collateral(), purpose=PURPOSE, clock=clock, random=bytes)
        party.challenge()
        accepted = refused_or(lambda: party.accept(data[1:], b""))
        assert accepted is None, "AMD's roots vouch for nothing that is made here"

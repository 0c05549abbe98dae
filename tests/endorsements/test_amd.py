"""Certificates and lists from AMD's service: taken if they chain to the pinned root and are what was asked for."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from vendors import Reply, Route, Server, amd, pem, vcek_path

import attesting
import shared_vectors
from attesting import AT
from quatrefoil.enclave import certificates, snp
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp import roots
from quatrefoil.enclave.snp.report import Report
from quatrefoil.endorsements import amd as client
from quatrefoil.endorsements import needs
from quatrefoil.endorsements.needs import AmdNeed
from quatrefoil.endorsements.parts import Fetched
from quatrefoil.endorsements.web import Web
from quatrefoil.errors import EvidenceRejected, MessageRefused, PeerUnreachable

MILAN = AmdNeed("Milan", "vcek", attesting.CHIP_ID["Milan"], attesting.TCB["Milan"])
CHAIN, LIST = "/vcek/v1/Milan/cert_chain", "/vcek/v1/Milan/crl"
EARLY = AT - timedelta(days=1)


def fetch(server: Server, web: Web, need: AmdNeed = MILAN) -> tuple[Fetched, ...]:
    return client.fetch(need, web, AT, attesting.roots(), service=server.url)


def collateral(files: tuple[Fetched, ...]) -> Collateral:
    return Collateral.of_files({Path(one.name): one.data for one in files})


@pytest.mark.parametrize("product", attesting.CPUID)
def test_what_is_fetched_verifies_the_bare_report(server: Server, web: Web, product: str) -> None:
    server.routes |= amd(product)
    report = Evidence("sev-snp", attesting.evidence(product).report)
    (need,) = needs.of(report).needs
    assert isinstance(need, AmdNeed)
    found = fetch(server, web, need)
    findings = snp.verify(report, collateral(found), AT, roots=attesting.roots())
    assert not findings.failed and findings.claims.facts["revocation_checked"] is True
    assert server.asked[0] == vcek_path(product), "what may not be there is asked for first"
    assert [one.name.rpartition(".")[2] for one in found] == ["der", "crl", "der"]


def test_of_a_provider_the_authorities_and_the_list(server: Server, web: Web) -> None:
    server.routes |= amd("Genoa", "vlek")
    evidence = attesting.evidence("Genoa", "vlek")
    (need,) = needs.of(evidence).needs
    assert isinstance(need, AmdNeed)
    found = fetch(server, web, need)
    assert server.asked == ["/vlek/v1/Genoa/cert_chain", "/vlek/v1/Genoa/crl"]
    alone = dataclasses.replace(evidence, certificates=evidence.certificates[:1])
    assert not snp.verify(alone, collateral(found), AT, roots=attesting.roots()).failed


def test_chips_whose_ids_begin_alike_have_files_of_their_own() -> None:
    chips = [bytes(60) + bytes([1, 2, 3, last]) for last in (4, 5)]
    names = {client.file_names(AmdNeed("Milan", "vcek", chip, attesting.TCB["Milan"]))[2] for chip in chips}
    assert len(names) == 2


def test_nothing_comes_along_that_would_be_trusted(server: Server, web: Web) -> None:
    """A root of the server's own in the chain."""
    server.routes |= amd()
    good = server.routes[CHAIN]
    assert isinstance(good, Reply)
    rogue = pem("CERTIFICATE", attesting.ark("Milan", "stranger"))
    server.routes[CHAIN] = good.with_(body=rogue + good.body + rogue)
    given = collateral(fetch(server, web))
    assert given.keys == given.tpm_roots == ()
    assert set(given.certificates) == {attesting.ask("Milan", "vcek"), attesting.leaf("Milan")}
    read = [certificates.parse(der) for der in given.certificates]
    assert all(one.issuer != one.subject for one in read)
    spki = attesting.chip_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    server.routes[CHAIN] = good.with_(body=good.body + pem("PUBLIC KEY", spki))
    with pytest.raises(MessageRefused, match="holds a PUBLIC KEY"):
        fetch(server, web)


# ------------------------------------------------------------------------------------------------------------ refused


def test_a_chip_that_amd_does_not_know(server: Server, web: Web) -> None:
    server.routes |= amd()
    del server.routes[vcek_path()]
    with pytest.raises(EvidenceRejected, match=r"no VCEK of the Milan chip 0102030405060708, bootloader 4.*404"):
        fetch(server, web)
    assert len(server.asked) == 1


def test_a_service_that_throttles_is_waited_for(server: Server, web: Web, waits: list[float]) -> None:
    server.routes |= amd()
    good = server.routes[vcek_path()]
    assert isinstance(good, Reply)
    server.routes[vcek_path()] = [Reply(status=429, headers={"Retry-After": "10"}), good]
    assert len(fetch(server, web)) == 3 and waits == [10.0]


def _with(path: str, body: bytes) -> dict[str, Route]:
    return amd() | {path: Reply(body)}


def _chain(*certificates: bytes) -> bytes:
    return b"".join(pem("CERTIFICATE", der) for der in certificates)


ARK = attesting.ark("Milan")
ATTACKS = {
    "authority under another root": (
        _with(CHAIN, _chain(attesting.ask("Milan", signer="stranger"), ARK)),
        "has signed",
    ),
    "another root and all under it": (
        _with(CHAIN, _chain(attesting.ask("Milan", signer="stranger"), attesting.ark("Milan", "stranger"))),
        "has signed",
    ),
    "of another product": (_with(CHAIN, _chain(attesting.ask("Genoa"), attesting.ark("Genoa"))), "holds no SEV-Milan"),
    "authorities of VLEKs": (_with(CHAIN, _chain(attesting.ask("Milan", "vlek"), ARK)), "holds no SEV-Milan"),
    "no authority": (_with(CHAIN, _chain(attesting.ask("Milan", ca=False), ARK)), "has signed"),
    "expired authority": (
        _with(CHAIN, _chain(attesting.ask("Milan", end=EARLY), ARK)),
        "SEV-Milan expired on 2026-05-31",
    ),
    "chain of garbage": (_with(CHAIN, b"<html>"), "not whole PEM"),
    "empty chain": (_with(CHAIN, b""), "not whole PEM"),
    "half a chain": (_with(CHAIN, _chain(attesting.ask("Milan"))[:-40]), "not whole PEM|is not base64"),
    "private key": (_with(CHAIN, pem("PRIVATE KEY", b"x")), "holds a PRIVATE KEY"),
    "revoked authority": (amd(crl=attesting.crl("Milan", revoked=(0x10001,))), "SEV-Milan has been revoked"),
    "list by a stranger": (amd(crl=attesting.crl("Milan", signer="stranger")), "list is not signed by test ARK-Milan"),
    "list of another product": (amd(crl=attesting.crl("Genoa")), "list is not by test ARK-Milan"),
    "expired list": (amd(crl=attesting.crl("Milan", end=EARLY)), "revocation list expired on 2026-05-31"),
    "list of tomorrow": (amd(crl=attesting.crl("Milan", start=AT + timedelta(days=1))), "list holds from 2026-06-02"),
    "list of garbage": (amd(crl=b"<html>"), "revocation list that cannot be read"),
    "VCEK of another chip": (amd(vcek=attesting.leaf("Milan", chip_id=b"\x09" * 64)), "another chip or TCB version"),
    "VCEK of another version": (
        amd(vcek=attesting.leaf("Milan", tcb=bytes([4, 0, 0, 0, 0, 0, 23, 219]))),
        "another chip or TCB version",
    ),
    "VCEK of another product": (amd(vcek=attesting.leaf("Genoa")), "another chip or TCB version"),
    "VLEK for a VCEK": (amd(vcek=attesting.leaf("Milan", "vlek")), "another chip or TCB version"),
    "VCEK by a stranger": (amd(vcek=attesting.leaf("Milan", signer="stranger")), "VCEK is not signed by SEV-Milan"),
    "expired VCEK": (amd(vcek=attesting.leaf("Milan", end=EARLY)), "SEV-VCEK expired on 2026-05-31"),
    "VCEK of garbage": (amd(vcek=b"<html>"), "certificate cannot be read"),
    "ASK for a VCEK": (amd(vcek=attesting.ask("Milan")), "names a chip and a provider, or neither"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_service_that_lies_is_refused(server: Server, web: Web, name: str) -> None:
    routes, says = ATTACKS[name]
    server.routes |= routes
    with pytest.raises(MessageRefused, match=rf"localhost.*({says})"):
        fetch(server, web)


@pytest.mark.parametrize("path", [CHAIN, LIST])
def test_a_part_that_does_not_come(server: Server, web: Web, path: str) -> None:
    server.routes |= amd()
    server.routes[path] = Reply(status=500)
    with pytest.raises(PeerUnreachable, match="500"):
        fetch(server, web)


# ---------------------------------------------------------------------------------------------------- real certificates


@pytest.mark.parametrize("product", ["Milan", "Genoa"])
def test_real_certificates_are_asked_for_and_taken(server: Server, web: Web, product: str) -> None:
    """AMD's own certificates, from this server; of the list, which cannot be made here, up to its refusal."""
    folder = shared_vectors.folder("tee") / "snp"
    raw = (folder / f"{product.lower()}_attestation_report.bin").read_bytes()
    (need,) = needs.of(Evidence("sev-snp", raw), product).needs
    assert isinstance(need, AmdNeed) and need.chip_id == Report.parse(raw).chip_id
    vcek, ask, ark = (
        certificates.parse_pem((folder / f"{product.lower()}_{name}.pem").read_bytes())[0]
        for name in ("vcek", "ask", "ark")
    )
    base = f"/vcek/v1/{product}"
    server.routes |= {
        f"{base}/cert_chain": Reply(ask.public_bytes(Encoding.PEM) + ark.public_bytes(Encoding.PEM)),
        f"{base}/crl": Reply(attesting.crl(product)),
        client._address_of_vcek(need, base): Reply(vcek.public_bytes(Encoding.DER)),
    }
    at = vcek.not_valid_before_utc + timedelta(days=1)
    with pytest.raises(MessageRefused, match=f"the revocation list is not by AMD ARK-{product}"):
        client.fetch(need, web, at, roots.pinned(), service=server.url)
    assert len(server.asked) == 3
    answer = web.get(server.url + client._address_of_vcek(need, base), unknown="")
    assert client._leaf_problem(answer.body, need, ask, at) == ""

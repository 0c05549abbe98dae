"""The collector of Azure's confidential VMs, against a TPM in software that holds what a paravisor leaves in one."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

import attesting
import dcap_quotes
from azure_vms import SNP, TDX, base64url, bound, hcl_report, runtime_data, td_report
from quatrefoil.enclave import azure
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors import Collector, Settings, absent, automatic
from quatrefoil.enclave.collectors.azure import CERTIFICATES, QUOTES, AzureCollector, fetch
from quatrefoil.enclave.tpm import signer, structures
from quatrefoil.errors import CallerError, HostError
from software_tpm import AK, SoftwareTpm, needs_tpm, software_tpm

DATA = bytes(range(32))
VTPM_KEY = "0x81000003"


def key_of(machine: SoftwareTpm, handle: str = VTPM_KEY) -> rsa.RSAPublicKey:
    public = machine.tool("tpm2_readpublic", "-c", handle, "-f", "tss", "-o", "/dev/stdout", "-Q")
    der = signer.subject_public_key_info(signer.public_key(structures.parse_public(public[2:])))
    found = load_der_public_key(der)
    assert isinstance(found, rsa.RSAPublicKey)
    return found


def leave(machine: SoftwareTpm, report: bytes) -> None:
    """What the paravisor does before the guest starts."""
    index = "0x01400001"
    if b"0x1400001" in machine.tool("tpm2_getcap", "handles-nv-index"):
        machine.tool("tpm2_nvundefine", "-C", "o", index)
    attributes = "ownerread|ownerwrite|authread|authwrite"
    machine.tool("tpm2_nvdefine", "-C", "o", "-s", str(len(report)), "-a", attributes, index)
    for at in range(0, len(report), 1000):
        machine.tool("tpm2_nvwrite", "-C", "o", "-i", "-", f"--offset={at}", index, stdin=report[at : at + 1000])


@pytest.fixture(scope="module")
def machine() -> Iterator[SoftwareTpm]:
    with software_tpm() as made:
        made.tool("tpm2_createek", "-c", "rsa.ctx", "-G", "rsa")
        made.tool("tpm2_flushcontext", "-t")
        made.make_key(VTPM_KEY, "rsa", "rsassa", "rsa.ctx")
        yield made


def host(**answers: Any) -> Callable[[str, bytes | None], bytes]:
    """The host's service: our certificates, and quotes of what it is sent."""

    def pem(*ders: bytes) -> str:
        return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders).decode()

    def answer(address: str, body: bytes | None) -> bytes:
        if address == CERTIFICATES:
            assert body is None
            chain = pem(attesting.ask("Milan"), attesting.ark("Milan"))
            return json.dumps({"vcekCert": pem(attesting.leaf("Milan")), "certificateChain": chain, **answers}).encode()
        assert address == QUOTES and body is not None
        sent = json.loads(body)["report"]
        import base64

        report = base64.urlsafe_b64decode(sent + "=" * (-len(sent) % 4))
        made = dcap_quotes.Platform(body={"reportdata": report[128:192]}).quote()
        return json.dumps({"quote": base64url(made), **answers}).encode()

    return answer


def snp_vm(machine: SoftwareTpm, **more: Any) -> AzureCollector:
    data = runtime_data(key_of(machine), short=True)
    leave(machine, hcl_report(SNP, attesting.evidence(report_data=bound(data)).report, data))
    return AzureCollector("azure-snp", tcti=machine.tcti, **{"fetch": host(), **more})


def td_vm(machine: SoftwareTpm, **more: Any) -> AzureCollector:
    data = runtime_data(key_of(machine), short=True)
    leave(machine, hcl_report(TDX, td_report(data), data))
    return AzureCollector("azure-tdx", tcti=machine.tcti, **{"fetch": host(), **more})


@needs_tpm
def test_an_snp_vm_is_collected_and_verified(machine: SoftwareTpm) -> None:
    collector = snp_vm(machine)
    evidence = collector.collect(DATA)
    assert isinstance(collector, Collector) and len(evidence.certificates) == 3
    findings = azure.verify(evidence, Collateral(), attesting.AT, snp_roots=attesting.roots())
    assert not findings.failed and findings.claims.report_data == DATA
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    again = azure.verify(collector.collect(DATA), Collateral(), attesting.AT, snp_roots=attesting.roots())
    assert not again.failed and again.claims.measurements["pcr7"] != findings.claims.measurements["pcr7"]


@needs_tpm
def test_a_td_is_collected_and_verified(machine: SoftwareTpm) -> None:
    evidence = td_vm(machine).collect(DATA)
    collateral, root = dcap_quotes.Platform().collateral(), dcap_quotes.root()
    findings = azure.verify(evidence, collateral, dcap_quotes.AT, tdx_root=root)
    assert not findings.failed and findings.claims.report_data == DATA


@needs_tpm
def test_the_machine_is_found_to_be_one(machine: SoftwareTpm, tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, tcti=machine.tcti)
    snp_vm(machine)
    assert absent("azure-snp", settings) == "" and automatic(settings).kind == "azure-snp"
    assert "other hardware" in absent("azure-tdx", settings)
    machine.tool("tpm2_nvundefine", "-C", "o", "0x01400001")
    assert "holds no report of Azure's paravisor" in absent("azure-snp", settings)


@needs_tpm
def test_without_the_hosts_certificates_nobody_is_asked(machine: SoftwareTpm) -> None:
    def nobody(address: str, body: bytes | None) -> bytes:
        raise AssertionError("asked")

    assert snp_vm(machine, host_certificates=False, fetch=nobody).collect(DATA).certificates == ()


@needs_tpm
def test_a_report_of_other_hardware(machine: SoftwareTpm) -> None:
    with pytest.raises(HostError, match=r"not of azure-tdx\. Collect azure-snp"):
        replace(snp_vm(machine), kind="azure-tdx").collect(DATA)


@needs_tpm
def test_another_key_of_the_tpm(machine: SoftwareTpm) -> None:
    with pytest.raises(HostError, match="not the one in the paravisor's report"):
        snp_vm(machine, key=AK).collect(DATA)


@needs_tpm
def test_a_tpm_without_a_paravisor(machine: SoftwareTpm) -> None:
    collector = snp_vm(machine)
    leave(machine, b"something else")
    with pytest.raises(HostError, match="0x01400001 is not usable: the paravisor's report does not begin with HCLA"):
        collector.collect(DATA)
    leave(machine, hcl_report(SNP, bytes(1184), b"no JSON"))
    with pytest.raises(HostError, match="runtime data cannot be read"):
        collector.collect(DATA)
    machine.tool("tpm2_nvundefine", "-C", "o", "0x01400001")
    with pytest.raises(HostError, match="tpm2_nvread failed"):
        collector.collect(DATA)


@needs_tpm
@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"vcekCert": "none"}, "certificates are not usable"),
        ({"vcekCert": None}, "certificates are not usable"),
        ({"certificateChain": 5}, "certificates are not usable"),
    ],
)
def test_certificates_that_are_none(machine: SoftwareTpm, answers: dict[str, Any], says: str) -> None:
    with pytest.raises(HostError, match=says):
        snp_vm(machine, fetch=host(**answers)).collect(DATA)


@needs_tpm
@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"quote": ""}, "is no quote"),
        ({"quote": None}, "is no quote"),
        ({"quote": "%"}, "is no quote"),
        ({"quote": base64url(b"quote")}, "is no quote"),
        ({"quote": base64url(dcap_quotes.Platform().quote())}, "of another report than was sent"),
    ],
)
def test_quotes_that_are_none(machine: SoftwareTpm, answers: dict[str, Any], says: str) -> None:
    with pytest.raises(HostError, match=says):
        td_vm(machine, fetch=host(**answers)).collect(DATA)


@needs_tpm
@pytest.mark.parametrize("answer", [b"", b"[]", b"[" * 100_000, b" " * 300_000, b"\xff"])
def test_a_service_that_answers_something_else(machine: SoftwareTpm, answer: bytes) -> None:
    with pytest.raises(HostError, match="answered with something else"):
        td_vm(machine, fetch=lambda address, body: answer).collect(DATA)


@needs_tpm
def test_a_host_without_the_service(machine: SoftwareTpm) -> None:
    def nobody(address: str, body: bytes | None) -> bytes:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(HostError, match=r"acc/tdquote gave no answer .*Connection refused"):
        td_vm(machine, fetch=nobody).collect(DATA)


def test_no_tpm_and_no_sense(tmp_path: Path) -> None:
    for kind in ("azure-snp", "azure-tdx"):
        with pytest.raises(HostError, match="no usable TPM"):
            AzureCollector(kind, tcti=f"device:{tmp_path}/tpm").collect(DATA)
    with pytest.raises(CallerError, match="no kind of Azure's"):
        AzureCollector("sev-snp")
    with pytest.raises(CallerError, match="no registers"):
        AzureCollector("azure-snp", pcrs=())
    with pytest.raises(CallerError, match="report data of"):
        AzureCollector("azure-snp").collect(b"")


def test_the_service_is_spoken_to_as_it_documents() -> None:
    """A real server on loopback: the header that it asks for, the method, and no proxy in between."""
    seen: list[tuple[str, str | None, bytes]] = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.command, self.headers["Metadata"], body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"answer")

        do_GET = do_POST

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        assert fetch(address, None) == fetch(address, b"body") == b"answer"
        server.shutdown()
    assert seen == [("GET", "true", b""), ("POST", "true", b"body")]

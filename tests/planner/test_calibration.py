"""This host is measured through the real contracts and channels, with whatever it offers."""

from __future__ import annotations

import asyncio
import builtins
from pathlib import Path
from typing import Any

import pytest

from quatrefoil import stack
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.inference_receipts import read
from quatrefoil.errors import CallerError, HostError, PolicyInvalid
from quatrefoil.planner import Availability, Costs, host
from quatrefoil.planner.calibration import calibrate, line
from quatrefoil.policy import BACKENDS, VALUE_BITS


@pytest.fixture(scope="module")
def measured() -> Costs:
    log = MemoryLog()
    return calibrate(host.availability(), lambda: log.append("x-calibration", {}), bytes, seconds=0.0)


def test_everything_that_is_there_is_measured(measured: Costs) -> None:
    assert set(measured.transport) == {"pq-tls"}
    backends = {name for name, _ in host.availability().largest_roster}
    assert {"additive-rlwe", "plain"} <= backends
    assert set(measured.aggregation) == {f"{b}/{n}/1" for b in backends for n in VALUE_BITS}
    assert measured.of_aggregation("ckks", 12) is measured.of_aggregation("ckks", 32)
    transport = measured.of_transport("pq-tls")
    assert transport.handshake_ms > 0 and transport.sign_ms > 0 and transport.open_ms > 0
    assert transport.handshake_bytes > 10_000, "two ML-DSA certificates and signatures"
    assert transport.statement_bytes > 3_309, "an ML-DSA-65 signature"
    assert measured.log_append_ms > 0


def test_an_exchange_is_measured_with_the_receipt_that_it_is_given(measured: Costs) -> None:
    exchange = measured.of_serving("pq-tls")
    assert exchange.exchange_ms.fixed > 0 and exchange.receipt_ms.fixed >= 0
    overhead = 1_143 + 48  # docs/ohttp.md
    assert 0 < exchange.exchange_bytes.at(0) - overhead < 64, "what binary HTTP says of a request and a status"
    assert exchange.exchange_bytes.each == pytest.approx(2.0, rel=1e-3)
    assert exchange.receipt_bytes == 4, "one byte in base64"


def test_receipts_of_both_ends_are_receipts() -> None:
    encoded = stack.receipts_at_both_ends()(1000)
    assert read(encoded).sequence == 0 and 2_420 < len(encoded) < 4_000


def test_sizes_are_those_of_the_schemes(measured: Costs) -> None:
    narrow, wide = measured.of_aggregation("additive-rlwe", 16), measured.of_aggregation("additive-rlwe", 32)
    assert narrow.ciphertext_bytes.at(1_000_000) == pytest.approx(4e6, rel=0.07)
    assert wide.ciphertext_bytes.at(1_000_000) == pytest.approx(8e6, rel=0.07)
    assert narrow.key_bytes >= 32


def test_proofs_are_measured_where_there_are_any(measured: Costs) -> None:
    assert set(measured.proofs) == {"bounded-update/12/1", "bounded-update/16/1"}
    costs = measured.of_proofs("bounded-update", 16)
    assert costs.prove_ms.fixed > 0 and costs.verify_ms.fixed > 0 and costs.check_key_ms > 0
    assert costs.proof_bytes.at(1) > 50_000
    with pytest.raises(PolicyInvalid, match="no figures for proofs/bounded-update/32 bits"):
        measured.of_proofs("bounded-update", 32)


def test_a_measured_host_survives_a_file(measured: Costs, tmp_path: Path) -> None:
    measured.save(tmp_path / "costs.json")
    assert Costs.load(tmp_path / "costs.json") == measured


def test_what_is_not_there_is_not_measured() -> None:
    nothing = {(layer, backend): "not here" for layer, backends in BACKENDS.items() for backend in backends}
    bare = calibrate(Availability(nothing, {}), lambda: None, bytes, seconds=0.0)
    assert not bare.transport and not bare.serving and not bare.aggregation and not bare.proofs


def test_a_log_is_given_few_entries_however_long_it_is_measured() -> None:
    nothing = {(layer, backend): "not here" for layer, backends in BACKENDS.items() for backend in backends}
    log = MemoryLog()
    calibrate(Availability(nothing, {}), lambda: log.append("x-calibration", {}), bytes, seconds=5.0)
    assert 3 <= len(list(log.entries())) <= 20


async def _measure_inside_a_loop() -> Costs:
    return calibrate(host.availability(), lambda: None, bytes, seconds=0.0)


def test_it_can_be_measured_inside_an_event_loop() -> None:
    assert asyncio.run(_measure_inside_a_loop()).transport


def test_noise_never_makes_more_work_cheaper() -> None:
    assert line(2.0, 1.0, 100).at(10**9) == 2.0
    assert line(1.0, 2.0, 100).at(100) == 2.0


def test_a_clock_that_runs_backwards_is_noticed() -> None:
    ticks = iter(range(10**6, 0, -1))
    nothing = {(layer, backend): "not here" for layer, backends in BACKENDS.items() for backend in backends}
    with pytest.raises(HostError, match="a measurement gave -1000"):
        calibrate(Availability(nothing, {}), lambda: None, bytes, seconds=0.0, clock=lambda: float(next(ticks)))


# ------------------------------------------------------------------------------------------------ availability


def test_this_host_offers_what_exists_and_gives_a_reason_for_the_rest(tmp_path: Path) -> None:
    available = host.availability(tmp_path)
    for layer, backend in (("transport", "pq-tls"), ("enclave", "software"), ("aggregation", "additive-rlwe")):
        assert available.has(layer, backend)
    assert available.has("proofs", "bounded-update")
    assert available.absent["enclave", "tdx"] == "no device here (/dev/tdx_guest, /sys/kernel/config/tsm/report)"
    assert available.absent["enclave", "tpm"] == "no device here (/dev/tpmrm0)"
    assert available.has("aggregation", "ckks") and available.has("aggregation", "bgv")
    assert available.largest_proof == {("bounded-update", 12): 25_165_824, ("bounded-update", 16): 16_777_216}
    assert available.largest_roster["additive-rlwe", 16] == 256
    assert available.largest_roster["additive-rlwe", 32] == 2048


def offered(root: Path) -> set[str]:
    """Enclave backends that a host with these files offers."""
    available = host.availability(root)
    return {backend for backend in BACKENDS["enclave"] if available.has("enclave", backend)} - {"committee"}


def with_files(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ((), set()),
        (("dev/sev-guest", "sys/kernel/config/tsm/report"), {"sev-snp"}),
        (("dev/tdx_guest", "sys/kernel/config/tsm/report"), {"tdx"}),
        (("dev/nsm",), {"nitro"}),
        (("dev/tpmrm0",), {"tpm"}),
        # Half of what is needed, and what no keeper gives evidence of.
        (("dev/sev-guest",), set()),
        (("sys/kernel/config/tsm/report",), set()),
        (("dev/sgx_enclave",), set()),
        (("dev/nvidiactl",), set()),
    ],
)
def test_an_enclave_is_offered_where_all_of_its_devices_are(
    paths: tuple[str, ...], found: set[str], tmp_path: Path
) -> None:
    assert offered(with_files(tmp_path, *paths)) == found | {"software"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    absent = host.availability(with_files(tmp_path, "dev/sev-guest", "dev/sgx_enclave")).absent
    assert absent["enclave", "sev-snp"] == "no device here (/sys/kernel/config/tsm/report)"
    assert absent["enclave", "sgx"] == "nothing here collects evidence inside an SGX enclave; /dev/sgx_enclave is here"
    assert absent["enclave", "nvidia-cc"].startswith("a GPU isolates what runs on it, and not the memory")


def test_of_a_keeper_elsewhere_only_what_is_said_counts(tmp_path: Path) -> None:
    with_files(tmp_path, "dev/tpmrm0", "dev/nsm")
    available = host.availability(tmp_path, keeper=["sev-snp"])
    assert available.has("enclave", "sev-snp") and available.has("enclave", "software")
    assert available.absent["enclave", "tpm"] == "the keeper is not said to give such evidence"
    assert not host.availability(tmp_path, keeper=()).has("enclave", "nitro")
    for unknown in ("sgx", "nvidia-cc", "software", "enclave"):
        with pytest.raises(CallerError, match=f"no keeper gives {unknown} evidence"):
            host.availability(tmp_path, keeper=[unknown])


def test_of_a_server_elsewhere_only_what_is_said_counts(tmp_path: Path) -> None:
    """And what is said of a keeper says nothing of a server."""
    with_files(tmp_path, "dev/tpmrm0")
    available = host.availability(tmp_path, keeper=["sev-snp"], server=["tdx"])
    assert available.missing("infer", "enclave", "tdx") == ""
    assert available.missing("infer", "enclave", "sev-snp") == "the server is not said to give such evidence"
    assert available.missing("keys", "enclave", "tdx") == "the keeper is not said to give such evidence"
    here = host.availability(tmp_path)
    assert here.missing("infer", "enclave", "tpm") == ""
    for found in (available, here, host.availability(tmp_path, server=())):
        assert found.missing("infer", "enclave", "software") == host.NO_STAND_IN
        assert found.missing("keys", "enclave", "software") == ""
    for unknown in ("sgx", "software"):
        with pytest.raises(CallerError, match=f"no server gives {unknown} evidence"):
            host.availability(tmp_path, server=[unknown])


def without(monkeypatch: pytest.MonkeyPatch, module: str, name: str = "") -> None:
    """Make ``import module`` (or ``from module import name``) fail."""
    real = builtins.__import__

    def refuse(wanted: str, *args: Any, **kwargs: Any) -> Any:
        fromlist = args[2] if len(args) > 2 else ()
        if wanted == module and (not name or name in (fromlist or ())):
            raise ImportError(f"no {module}", name=name or module)
        return real(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_without_the_kernel_encryption_is_absent_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "quatrefoil", "_core")
    available = host.availability()
    assert "not built: run make install" in available.absent["aggregation", "additive-rlwe"]
    assert ("additive-rlwe", 16) not in available.largest_roster


def test_without_channels_transport_is_absent_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "quatrefoil.transport")
    assert "cannot be imported (quatrefoil.transport)" in host.availability().absent["transport", "pq-tls"]
    monkeypatch.undo()

    def unsupported() -> str:
        raise HostError("OpenSSL takes no hybrid group", hint="Upgrade")

    monkeypatch.setattr("quatrefoil.transport.require_support", unsupported)
    assert host.availability().absent["transport", "pq-tls"] == "OpenSSL takes no hybrid group"

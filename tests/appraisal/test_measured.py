"""The text by which receipts name code: the same at both ends, and never of what was not accepted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import attested_keepers
import made_inferences as made
from quatrefoil.appraisal import Verdict, appraise, measured, measurement_of
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.errors import EvidenceRejected

POLICY = attested_keepers.policy()
PASSED = (Check("made", True, ""),)


@pytest.fixture(autouse=True, scope="module")
def roots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        attested_keepers.trusted(patch)
        yield


def verdict(*devices: dict[str, bytes], **measurements: bytes) -> Verdict:
    machine = Claims("tpm", "none", "none", b"", measurements)
    return Verdict(PASSED, machine, b"", tuple(Claims("nvidia-cc", "none", "none", b"", one) for one in devices))


def test_it_names_what_the_policy_compares() -> None:
    """The evidence of the tests quotes two registers, and their policy compares both."""
    compared = [one.name for one in POLICY.rule("tpm").measurements]  # type: ignore[union-attr]
    text = made.measurement()
    assert [one.partition("=")[0] for one in text.split(",")] == [f"tpm.{name}" for name in sorted(compared)]


def test_a_register_that_grows_while_code_runs_does_not_change_it() -> None:
    one, other = (verdict(pcr7=b"\7" * 32, pcr10=bytes([number]) * 32) for number in (1, 2))
    assert measurement_of(one, POLICY) == measurement_of(other, POLICY) == f"tpm.pcr7={'07' * 32}"


def test_other_code_has_another_text() -> None:
    assert measurement_of(verdict(pcr7=b"\7" * 32), POLICY) != measurement_of(verdict(pcr7=b"\6" * 32), POLICY)


def test_devices_that_are_alike_are_named_once() -> None:
    """Devices of kinds that the policy does not name have nothing that it compares."""
    device = {"measurement_1": b"d" * 48}
    assert measurement_of(verdict(device, device, pcr7=b"\7" * 32), POLICY) == f"tpm.pcr7={'07' * 32}"


def test_a_long_text_is_named_by_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    text = measurement_of(verdict(pcr7=b"\7" * 32), POLICY)
    monkeypatch.setattr(measured, "LONGEST", len(text) - 1)
    assert measurement_of(verdict(pcr7=b"\7" * 32), POLICY) == f"sha256={hashlib.sha256(text.encode()).hexdigest()}"


def test_nothing_that_was_refused_names_code() -> None:
    refused = appraise(
        Findings(Claims("tpm", "none", "none", b"", {"pcr7": b"\7" * 32}), (Check("signature", False, "altered"),)),
        POLICY,
        b"d" * 32,
        datetime(2026, 6, 1, tzinfo=UTC),
    )
    with pytest.raises(EvidenceRejected, match="signature"):
        measurement_of(refused, POLICY)

"""Which collectors a machine has devices for, and why it has none for the others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

import fused
from configfs import TsmKernel
from quatrefoil.enclave.collectors import COLLECTORS, Settings, absent, automatic, choosing, collector
from quatrefoil.enclave.collectors.nsm import NsmCollector
from quatrefoil.enclave.collectors.tpm import TpmCollector
from quatrefoil.enclave.evidence import KINDS
from quatrefoil.errors import CallerError, HostError


def bare(folder: Path, **more: object) -> Settings:
    return Settings(root=folder, tcti=f"device:{folder}/tpmrm0", **more)  # type: ignore[arg-type]


def test_collectors_are_of_known_kinds_and_each_says_why_it_is_absent() -> None:
    assert set(COLLECTORS) <= set(KINDS) and set(choosing._ABSENT) == set(COLLECTORS)


@pytest.mark.parametrize("kind", COLLECTORS)
def test_a_bare_machine_has_none_of_them(tmp_path: Path, kind: str) -> None:
    settings = bare(tmp_path, key="0x81010002")
    assert "does not exist" in absent(kind, settings) or "not installed" in absent(kind, settings)
    made = collector(kind, settings)
    assert made.kind == kind
    with pytest.raises(HostError):
        made.collect(bytes(32))


def test_a_bare_machine_is_told_every_reason_once(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"no device here gives evidence \(.*no Nitro enclave.*Linux 6\.7") as refused:
        automatic(bare(tmp_path))
    assert refused.value.problem.count("Linux 6.7") == 1


def test_a_device_that_is_there_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nsm").touch()
    assert absent("nitro", bare(tmp_path)) == ""
    assert isinstance(automatic(bare(tmp_path)), NsmCollector)


def test_a_device_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nsm").touch()
    monkeypatch.setattr(choosing.os, "access", lambda *_: False)
    assert "may not be opened" in absent("nitro", bare(tmp_path))


def test_a_tpm_is_chosen_last_and_only_with_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing.shutil, "which", lambda name: "/usr/bin/" + name)
    settings = Settings(root=tmp_path, tcti="swtpm:path=/nowhere")
    with pytest.raises(HostError, match="no attestation key was named"):
        automatic(settings)
    assert isinstance(automatic(Settings(root=tmp_path, tcti="swtpm:path=/nowhere", key="ak.ctx")), TpmCollector)
    monkeypatch.setattr(choosing.shutil, "which", lambda name: None)
    assert "tpm2-tools is not installed" in absent("tpm", settings)


@pytest.mark.skipif(bool(fused.why_not()), reason=f"NOT TESTED on real files: {fused.why_not()}")
@pytest.mark.parametrize(("provider", "kind"), [("tdx_guest", "tdx"), ("sev_guest", "sev-snp"), ("other", "")])
def test_the_kernel_says_which_guest_it_is(provider: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = TsmKernel(lambda data, level: (b"", b""), provider)
    with tempfile.TemporaryDirectory(prefix="tsm-") as folder, fused.mounted(kernel, Path(folder)) as reports:
        monkeypatch.setattr(choosing.tsm, "REPORTS", reports)
        found = [one for one in ("tdx", "sev-snp") if not absent(one)]
        assert found == [kind] * bool(kind) and kernel.entries == {} and kernel.made == 0
        if kind:
            assert automatic().kind == kind
        else:
            assert "no reports of a known kind" in absent("tdx")


def test_a_kind_that_nothing_collects() -> None:
    with pytest.raises(CallerError, match="nothing collects evidence of the kind 'sgx'"):
        collector("sgx")
    assert "nothing collects" in absent("sgx")


def test_a_tpm_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no attestation key of its own"):
        collector("tpm", bare(tmp_path))

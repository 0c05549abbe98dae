"""The collector refuses cleanly where there is no TPM, no tool or no sense in what it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from quatrefoil.enclave.collectors.tpm import TpmCollector
from quatrefoil.errors import CallerError, DependencyMissing, HostError


def test_no_device(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"no usable TPM: .* does not exist") as refused:
        TpmCollector("0x81010002", tcti=f"device:{tmp_path}/tpmrm0").collect(bytes(32))
    assert "group tss" in refused.value.hint


def test_no_path() -> None:
    with pytest.raises(HostError, match="no usable TPM"):
        TpmCollector("0x81010002", tcti="device:").collect(bytes(32))


def test_no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyMissing, match="tpm2_readpublic is not installed") as refused:
        TpmCollector("0x81010002", tcti="swtpm:path=/nowhere").collect(bytes(32))
    assert "tpm2-tools" in refused.value.hint


def tools(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> TpmCollector:
    """A collector that finds ``script`` under the names of both tools."""
    for name in ("tpm2_readpublic", "tpm2_quote"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return TpmCollector("0x81010002", tcti="swtpm:path=/nowhere")


def test_a_tool_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = tools(tmp_path, "echo 'ERROR: no such key' >&2; exit 1", monkeypatch)
    with pytest.raises(HostError, match="tpm2_readpublic failed: no such key"):
        collector.collect(bytes(32))
    collector = tools(tmp_path, "exit 3", monkeypatch)
    with pytest.raises(HostError, match="exit status 3"):
        collector.collect(bytes(32))


def test_a_tool_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.enclave.collectors.tpm_tools._PATIENCE", 0.2)
    collector = tools(tmp_path, "exec sleep 30", monkeypatch)
    with pytest.raises(HostError, match=r"no answer for 0\.2 s"):
        collector.collect(bytes(32))


def test_an_answer_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = 'while [ $# -gt 0 ]; do case "$1" in -o|-m|-s) printf answer > "$2";; esac; shift; done'
    with pytest.raises(HostError, match="the key is no attestation key: the TPMT_PUBLIC"):
        tools(tmp_path, write, monkeypatch).collect(bytes(32))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"bank": "sha1"}, "no bank 'sha1'"),
        ({"pcrs": ()}, "no registers"),
        ({"pcrs": (1, 1)}, "no registers"),
        ({"pcrs": (2, 1)}, "no registers"),
        ({"pcrs": (24,)}, "no registers"),
        ({"pcrs": (-1,)}, "no registers"),
        ({"key": ""}, "names no key"),
        ({"key": "--help"}, "names no key"),
    ],
)
def test_what_makes_no_sense_is_refused_when_built(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(CallerError, match=says):
        TpmCollector(**{"key": "0x81010002", **wrong})  # type: ignore[arg-type]

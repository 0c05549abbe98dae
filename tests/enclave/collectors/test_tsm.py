"""configfs-tsm, each behaviour twice: on real files of a mounted kernel in software, and on injected operations."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import attesting
import dcap_quotes
import fused
from configfs import Entry, TsmFiles, TsmKernel
from quatrefoil.appraisal import appraise, parse
from quatrefoil.enclave import snp, tdx
from quatrefoil.enclave.collectors import Collector
from quatrefoil.enclave.collectors.files import KernelFiles
from quatrefoil.enclave.collectors.tsm import ATTEMPTS, TsmCollector, provider
from quatrefoil.errors import CallerError, HostError

DATA = bytes(range(32))
FUSE_MISSING = fused.why_not()

GUIDS = {"vcek": "63da758d-e664-4564-adc5-f4b93be8accd", "ask": "4ab7b379-bbac-4fe4-a02f-05aef327c782"}


def table(**certificates: bytes) -> bytes:
    """A certificate table as a host writes it, GUIDs in the order of their digits."""
    entries, data = b"", b""
    start = 24 * (len(certificates) + 1)
    for name, certificate in certificates.items():
        guid = bytes.fromhex(GUIDS[name].replace("-", ""))
        entries += guid + (start + len(data)).to_bytes(4, "little") + len(certificate).to_bytes(4, "little")
        data += certificate
    return entries + bytes(24) + data


def snp_report(data: bytes, level: int) -> tuple[bytes, bytes]:
    report = attesting.sign(attesting.unsigned("Milan", report_data=data, vmpl=level), attesting.chip_key())
    return report, table(vcek=attesting.leaf("Milan"), ask=attesting.ask("Milan"))


def tdx_report(data: bytes, level: int) -> tuple[bytes, bytes]:
    return dcap_quotes.Platform(body={"reportdata": data}).quote(), b""


def snp_kernel(**changes: object) -> TsmKernel:
    return TsmKernel(**{"report": snp_report, **changes})  # type: ignore[arg-type]


def tdx_kernel(**changes: object) -> TsmKernel:
    return TsmKernel(**{"report": tdx_report, "provider": "tdx_guest", "levels": False, **changes})  # type: ignore[arg-type]


Reach = Callable[[TsmKernel], AbstractContextManager[TsmCollector]]


@contextmanager
def as_files(kernel: TsmKernel) -> Iterator[TsmCollector]:
    with tempfile.TemporaryDirectory(prefix="tsm-") as folder, fused.mounted(kernel, Path(folder)) as mounted:
        yield TsmCollector("sev-snp", folder=mounted, sleep=lambda _: None)


@contextmanager
def injected(kernel: TsmKernel) -> Iterator[TsmCollector]:
    files = TsmFiles(kernel)
    yield TsmCollector("sev-snp", folder=files.folder, files=files, sleep=lambda _: None)


mounted_too = pytest.mark.parametrize(
    "reach",
    [
        pytest.param(
            as_files,
            id="mounted",
            marks=pytest.mark.skipif(bool(FUSE_MISSING), reason=f"NOT TESTED on real files: {FUSE_MISSING}"),
        ),
        pytest.param(injected, id="injected"),
    ],
)


@mounted_too
def test_an_snp_report_is_collected_verified_and_accepted(reach: Reach) -> None:
    kernel = snp_kernel()
    with reach(kernel) as collector:
        evidence = collector.collect(DATA)
    assert isinstance(collector, Collector) and kernel.entries == {} and kernel.made == 1
    assert evidence.certificates == (attesting.leaf("Milan"), attesting.ask("Milan"))
    findings = snp.verify(evidence, attesting.NOTHING, attesting.AT, roots=attesting.roots())
    policy = parse((attesting.FOLDER / "policy.toml").read_text(), source="policy")
    appraise(findings, policy, DATA, attesting.AT).require()
    assert not appraise(findings, policy, DATA + b"\1", attesting.AT).accepted


@mounted_too
def test_a_tdx_quote_is_collected_and_verified(reach: Reach) -> None:
    with reach(tdx_kernel()) as collector:
        evidence = replace(collector, kind="tdx").collect(DATA)
    platform = dcap_quotes.Platform()
    findings = tdx.verify(evidence, platform.collateral(), dcap_quotes.AT, root=dcap_quotes.root())
    assert not findings.failed and findings.claims.report_data == DATA + bytes(32)


@mounted_too
@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN, errno.ENOSPC])
def test_a_busy_kernel_is_asked_again(reach: Reach, number: int) -> None:
    kernel = snp_kernel(report_faults=[number] * 3, folder_faults=[number])
    with reach(kernel) as collector:
        assert collector.collect(DATA).report
    assert kernel.entries == {} and not kernel.report_faults


def test_a_signal_in_between_is_no_failure() -> None:
    # Not mounted: Python itself asks again after EINTR (PEP 475).
    kernel = snp_kernel(report_faults=[errno.EINTR, errno.EINTR])
    with injected(kernel) as collector:
        assert collector.collect(DATA).report


@mounted_too
def test_a_kernel_that_stays_busy_is_given_up(reach: Reach) -> None:
    kernel = snp_kernel(report_faults=[errno.EBUSY] * ATTEMPTS)
    with reach(kernel) as collector, pytest.raises(HostError, match=f"{ATTEMPTS} attempts"):
        collector.collect(DATA)
    assert kernel.entries == {} and not kernel.report_faults


def test_pauses_grow_and_end() -> None:
    pauses: list[float] = []
    with injected(snp_kernel(report_faults=[errno.EBUSY] * ATTEMPTS)) as collector, pytest.raises(HostError):
        replace(collector, sleep=pauses.append).collect(DATA)
    assert len(pauses) == ATTEMPTS - 1 and pauses == sorted(pauses) and 1 < sum(pauses) < 30


@mounted_too
def test_a_write_that_got_lost_is_noticed_and_made_again(reach: Reach) -> None:
    # Nothing was written: a kernel without a report refuses; the write of the level alone would not be enough.
    kernel = snp_kernel(lost_writes=1)
    with reach(kernel) as collector, pytest.raises(HostError, match="did not make a report"):
        collector.collect(DATA)
    kernel = snp_kernel(lost_writes=0, intruder=_rewrites_once())
    with reach(kernel) as collector:
        evidence = collector.collect(DATA)
    assert evidence.report[0x50:0x70] == DATA and kernel.made == 2


def _rewrites_once() -> Callable[[Entry], None]:
    left = [1]

    def rewrite(entry: Entry) -> None:
        if left:
            left.pop()
            entry.inblob = b"\xee" * 64
            entry.written += 1

    return rewrite


def _always_rewrites(entry: Entry) -> None:
    entry.inblob = b"\xee" * 64
    entry.written += 1


@mounted_too
def test_somebody_who_always_writes_to_the_entry_is_refused(reach: Reach) -> None:
    kernel = snp_kernel(intruder=_always_rewrites)
    with reach(kernel) as collector, pytest.raises(HostError, match="another program writes there"):
        collector.collect(DATA)
    assert kernel.entries == {}


@mounted_too
def test_a_driver_that_answers_something_else_is_refused(reach: Reach) -> None:
    kernel = snp_kernel(report=lambda data, level: snp_report(b"\xee" * 64, level))
    with reach(kernel) as collector, pytest.raises(HostError, match="other report data"):
        collector.collect(DATA)


@mounted_too
def test_the_privilege_level_is_the_kernels_own_or_what_is_asked(reach: Reach) -> None:
    with reach(snp_kernel(floor=2)) as collector:
        assert collector.collect(DATA).report[0x30] == 2
        assert replace(collector, privilege_level=3).collect(DATA).report[0x30] == 3
        with pytest.raises(HostError, match="runs at privilege level 2"):
            replace(collector, privilege_level=1).collect(DATA)


def test_a_level_that_cannot_be_chosen_is_refused() -> None:
    with injected(snp_kernel(levels=False)) as collector, pytest.raises(HostError, match="does not let choose"):
        replace(collector, privilege_level=0).collect(DATA)
    for wrong in ({"privilege_level": 4}, {"privilege_level": -1}, {"kind": "tdx", "privilege_level": 0}):
        with pytest.raises(CallerError, match="no privilege level"):
            TsmCollector(**{"kind": "sev-snp", **wrong})  # type: ignore[arg-type]


@mounted_too
def test_many_collectors_at_once_each_get_their_own(reach: Reach) -> None:
    kernel = snp_kernel(report_faults=[errno.EBUSY] * 6)
    wanted = [bytes([n]) * 32 for n in range(1, 25)]
    with reach(kernel) as collector, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(collector.collect, wanted))
    assert [evidence.report[0x50:0x70] for evidence in found] == wanted
    assert kernel.entries == {} and kernel.made == len(wanted)


@mounted_too
def test_another_provider_is_refused_and_told(reach: Reach) -> None:
    with reach(tdx_kernel()) as collector:
        assert provider(collector.folder, collector.files) == "tdx"
        with pytest.raises(HostError, match=r"'tdx_guest', not of sev-snp\. Collect tdx"):
            collector.collect(DATA)
    with reach(snp_kernel(provider="arm_cca_guest")) as collector, pytest.raises(HostError, match="another collector"):
        collector.collect(DATA)


@mounted_too
def test_a_kernel_without_a_provider_is_refused(reach: Reach) -> None:
    kernel = snp_kernel(provider="")
    with reach(kernel) as collector:
        assert provider(collector.folder, collector.files) == ""
        with pytest.raises(HostError, match="gives no attestation reports"):
            collector.collect(DATA)


def test_a_machine_without_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    assert provider(folder) == ""
    with pytest.raises(HostError, match=r"gives no attestation reports.*Linux 6\.7"):
        TsmCollector("tdx", folder=folder).collect(DATA)


@mounted_too
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_user_who_may_not_is_told_so(reach: Reach, number: int) -> None:
    with (
        reach(snp_kernel(folder_faults=[number])) as collector,
        pytest.raises(HostError, match=r"may not be used.*root"),
    ):
        collector.collect(DATA)


@mounted_too
@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.EFBIG, errno.EINVAL, errno.ENOTTY])
def test_what_no_retry_mends_is_refused_at_once(reach: Reach, number: int) -> None:
    kernel = snp_kernel(report_faults=[number, errno.EBUSY])
    with reach(kernel) as collector, pytest.raises(HostError, match="did not make a report: cannot use outblob"):
        collector.collect(DATA)
    assert kernel.report_faults == [errno.EBUSY] and kernel.entries == {}


@mounted_too
def test_an_entry_that_is_busy_is_removed_later_and_one_that_stays_is_named(reach: Reach) -> None:
    kernel = snp_kernel(removal_faults=[errno.EBUSY] * 2)
    with reach(kernel) as collector:
        collector.collect(DATA)
    assert kernel.entries == {}
    kernel = snp_kernel(removal_faults=[errno.EBUSY] * ATTEMPTS)
    with reach(kernel) as collector, pytest.raises(HostError, match="could not be removed"):
        collector.collect(DATA)
    assert len(kernel.entries) == 1


@mounted_too
def test_no_certificates_of_the_host_are_none_in_the_evidence(reach: Reach) -> None:
    with reach(snp_kernel(report=lambda data, level: (snp_report(data, level)[0], b""))) as collector:
        assert collector.collect(DATA).certificates == ()


@mounted_too
def test_a_table_that_is_none_is_refused_or_left_out(reach: Reach) -> None:
    with reach(snp_kernel(report=lambda data, level: (snp_report(data, level)[0], b"garbage"))) as collector:
        with pytest.raises(HostError, match=r"certificate table.*without the host's certificates"):
            collector.collect(DATA)
        assert replace(collector, host_certificates=False).collect(DATA).certificates == ()


@mounted_too
@pytest.mark.parametrize("report", [b"", b"short", bytes(1184), bytes(70_000)])
def test_what_is_no_report_is_refused(reach: Reach, report: bytes) -> None:
    with reach(snp_kernel(report=lambda data, level: (report, b""))) as collector, pytest.raises(HostError):
        collector.collect(DATA)


def test_an_event_log_goes_along_or_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "CCEL"
    with injected(tdx_kernel()) as collector:
        files = _Both(collector.files, KernelFiles(), collector.folder)
        wanted = replace(collector, kind="tdx", event_log=log, files=files)
        with pytest.raises(HostError, match="event log"):
            wanted.collect(DATA)
        log.write_bytes(b"events")
        assert wanted.collect(DATA).event_log == b"events"
    with pytest.raises(CallerError, match="no event log"):
        TsmCollector("sev-snp", event_log=log)


class _Both:
    """Entries in the kernel in software, everything else on disk."""

    def __init__(self, kernel: TsmFiles, disk: KernelFiles, folder: Path) -> None:
        self.kernel, self.disk, self.folder = kernel, disk, folder

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(path: Path, *more: object) -> object:
            return getattr(self.kernel if path.is_relative_to(self.folder) else self.disk, name)(path, *more)

        return call


@pytest.mark.parametrize("data", [b"", bytes(65)])
def test_report_data_of_another_length_is_the_callers_fault(data: bytes) -> None:
    with injected(snp_kernel()) as collector, pytest.raises(CallerError, match="report data of"):
        collector.collect(data)


def test_a_kind_that_does_not_come_this_way_is_the_callers_fault() -> None:
    with pytest.raises(CallerError, match="comes this way"):
        TsmCollector("tpm")


def test_an_exception_in_between_leaves_no_entry() -> None:
    def interrupted(data: bytes, level: int) -> tuple[bytes, bytes]:
        raise KeyboardInterrupt

    kernel = snp_kernel(report=interrupted)
    with injected(kernel) as collector, pytest.raises(KeyboardInterrupt):
        collector.collect(DATA)
    assert kernel.entries == {}


def test_short_writes_and_long_reads_of_real_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(10))
    assert KernelFiles().read(file, 10) == bytes(10)
    with pytest.raises(OSError, match="too large"):
        KernelFiles().read(file, 9)
    monkeypatch.setattr("os.write", lambda descriptor, data: len(data) - 1)
    with pytest.raises(OSError, match="took 1 of 2 bytes"):
        KernelFiles().write(file, b"ab")

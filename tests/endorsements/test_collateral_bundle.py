"""Bundles: what is held and until when, and what a fetch that is cut short leaves."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from vendors import Reply, Server, amd, platform, vcek_path

import attesting
import dcap_quotes
from dcap_quotes import AT, FMSPC, UNTIL, Platform
from quatrefoil.enclave import snp, tdx
from quatrefoil.enclave.collateral import TPM_KEY, TPM_ROOT, Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.endorsements import amd as amd_client
from quatrefoil.endorsements import bundle, fetching, intel, nvidia
from quatrefoil.endorsements.fetching import Outcome, Services, Trusted
from quatrefoil.endorsements.manifest import NAME, Manifest
from quatrefoil.endorsements.needs import AmdNeed, IntelNeed, Need, NvidiaNeed
from quatrefoil.endorsements.web import Web
from quatrefoil.errors import HostError, MessageRefused, QuatrefoilError, StateCorrupt

INTEL = IntelNeed("TDX", FMSPC, "platform")
AMD = AmdNeed("Milan", "vcek", attesting.CHIP_ID["Milan"], attesting.TCB["Milan"])
DOCUMENT = f"intel-tdx-{FMSPC.lower()}-platform.json"
LIST, CHAIN = "amd-milan-vcek.crl", "amd-milan-vcek-issuer.der"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "bundle"


@pytest.fixture
def fetch(server: Server, web: Web, services: Services, trusted: Trusted, folder: Path):  # type: ignore[no-untyped-def]
    server.routes |= platform() | amd()

    def call(*needs: Need, at: datetime = AT, refresh: bool = False) -> Outcome:
        return fetching.fetch(
            needs or (INTEL, AMD), folder, web, at, services=services, trusted=trusted, refresh=refresh
        )

    return call


def verifies(folder: Path, at: datetime = AT) -> bool:
    given = Collateral.load(folder)
    report = Evidence("sev-snp", attesting.evidence("Milan").report)
    findings = (
        snp.verify(report, given, at, roots=attesting.roots()),
        tdx.verify(Platform().evidence(), given, at, root=dcap_quotes.root()),
    )
    return not any(found.failed for found in findings)


def origins(folder: Path) -> dict[str, str]:
    return {one.name: one.origin for one in bundle.held(folder)}


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_bundle_verifies_and_says_what_it_is(fetch, folder: Path) -> None:  # type: ignore[no-untyped-def]
    outcome = fetch()
    assert len(outcome.fetched) == 4 and outcome.kept == ()
    assert verifies(folder)
    assert set(origins(folder).values()) == {"fetched"} and len(content(folder)) == 5
    by_name = {entry.name: entry for entry in Manifest.decode((folder / NAME).read_bytes()).entries}
    assert by_name[LIST].sources[0].endswith("/vcek/v1/Milan/crl") and by_name[LIST].fetched_at == AT
    ends = {part.name: part.until for part in by_name[DOCUMENT].parts}
    assert ends["TCB info"] == ends["root's revocation list"] == UNTIL
    held = {one.name: one for one in bundle.held(folder)}
    assert held[DOCUMENT].problems(AT) == []
    (first, *_) = held[DOCUMENT].problems(UNTIL + timedelta(seconds=1))
    assert first == "the TCB info expired on 2026-06-14T00:00:00Z"


def test_what_holds_is_not_fetched_again(fetch, server: Server, folder: Path) -> None:  # type: ignore[no-untyped-def]
    fetch()
    before, asked = content(folder), len(server.asked)
    assert fetch().fetched == () and len(server.asked) == asked and content(folder) == before
    assert len(fetch(refresh=True).fetched) == 4 and len(server.asked) == 2 * asked


def test_what_has_expired_is_fetched_again(fetch, server: Server, folder: Path) -> None:  # type: ignore[no-untyped-def]
    fetch()
    later = UNTIL + timedelta(days=1)
    until = {name: later + timedelta(days=30) for name in ("tcb_until", "identity_until", "lists_until")}
    server.routes |= platform(**until)
    assert not verifies(folder, later)
    outcome = fetch(at=later)
    assert outcome.fetched == (DOCUMENT,) and len(outcome.kept) == 3
    assert verifies(folder, later)


@pytest.mark.parametrize("name", [DOCUMENT, LIST, CHAIN])
def test_what_is_gone_or_altered_is_shown_and_fetched_again(fetch, folder: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    fetch()
    (folder / name).unlink()
    (missing,) = (one for one in bundle.held(folder) if one.name == name)
    assert missing.origin == "missing" and missing.problems(AT) == ["it is missing"]
    assert name in fetch().fetched and verifies(folder)
    other = {
        DOCUMENT: Platform(evaluation=16).document(),
        LIST: b"garbage",
        CHAIN: b"",
    }
    (folder / name).write_bytes(other[name])
    (altered,) = (one for one in bundle.held(folder) if one.name == name)
    assert altered.origin == "altered" and "it is altered" in altered.problems(AT)
    assert name in fetch().fetched and set(origins(folder).values()) == {"fetched"}


def test_dates_in_the_manifest_are_not_believed(fetch, folder: Path) -> None:  # type: ignore[no-untyped-def]
    fetch()
    written = (folder / NAME).read_text()
    (folder / NAME).write_text(written.replace("2026-06-14T00:00:00Z", "2036-06-14T00:00:00Z"))
    (document,) = (one for one in bundle.held(folder) if one.name == DOCUMENT)
    assert document.origin == "altered"
    assert any("expired on 2026-06-14" in problem for problem in document.problems(UNTIL + timedelta(days=1)))


def test_files_of_the_owner_are_left_as_they_are(fetch, folder: Path) -> None:  # type: ignore[no-untyped-def]
    folder.mkdir(parents=True)
    (folder / "vlek.der").write_bytes(attesting.leaf("Milan", "vlek"))
    (folder / "README.md").write_text("ours")
    fetch()
    fetch(refresh=True)
    assert origins(folder)["vlek.der"] == "own" and (folder / "README.md").read_text() == "ours"


def test_several_platforms_share_a_bundle(fetch, server: Server, folder: Path) -> None:  # type: ignore[no-untyped-def]
    fetch()
    server.routes |= platform(fmspc="000000000001") | platform("sgx") | amd("Genoa")
    more = (IntelNeed("TDX", "000000000001", "platform"), IntelNeed("SGX", FMSPC, "platform"), AmdNeed("Genoa"))
    assert len(fetch(*more).fetched) == 4
    assert set(origins(folder).values()) == {"fetched"} and len(origins(folder)) == 8 and verifies(folder)


# ------------------------------------------------------------------------------------ nothing is lost, whatever happens


@pytest.mark.parametrize(
    "reply",
    [Reply(status=500), Reply(status=404), Reply(b"garbage"), Reply(b""), Reply(bytes(1 << 17)), Reply(b"x", length=9)],
)
@pytest.mark.parametrize("path", ["/root.der", "/vcek/v1/Milan/crl", vcek_path()])
def test_a_fetch_that_fails_leaves_the_bundle(fetch, server: Server, folder: Path, path: str, reply: Reply) -> None:  # type: ignore[no-untyped-def]
    fetch()
    before = content(folder)
    server.routes[path] = reply
    with pytest.raises(QuatrefoilError):
        fetch(refresh=True)
    assert content(folder) == before


def test_a_first_fetch_that_fails_leaves_nothing(fetch, server: Server, folder: Path) -> None:  # type: ignore[no-untyped-def]
    server.routes["/vcek/v1/Milan/crl"] = Reply(b"garbage")
    with pytest.raises(MessageRefused):
        fetch()
    assert not folder.exists()


@pytest.mark.parametrize("step", range(11))
def test_cut_short_anywhere_it_still_verifies(
    fetch, server: Server, folder: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    """The disk fails at each write and each rename in turn: five files staged, five renamed, and the folder's sync."""
    fetch()
    old = content(folder)
    server.routes |= platform(evaluation=18)
    left = [step]
    sync, replace = os.fsync, Path.replace

    def count() -> None:
        if not left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= 1

    monkeypatch.setattr(os, "fsync", lambda descriptor: (count(), sync(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (count(), replace(self, target))[1])
    with pytest.raises(HostError, match="No space left"):
        fetch(refresh=True)
    monkeypatch.undo()
    assert verifies(folder)
    if step < 5:
        assert content(folder) == old
    assert set(content(folder)) == set(old), "nothing staged is left"
    fetch(refresh=True)
    assert set(origins(folder).values()) == {"fetched"} and verifies(folder)


def test_too_many_files_are_refused_before_the_first_is_written(fetch, folder: Path) -> None:  # type: ignore[no-untyped-def]
    folder.mkdir(parents=True)
    for number in range(61):
        (folder / f"{number}.der").write_bytes(attesting.ask("Milan"))
    with pytest.raises(HostError, match="65 files, over 64"):
        fetch()
    assert len(content(folder)) == 61


def test_a_folder_that_is_none_is_named_before_anybody_is_asked(fetch, server: Server, folder: Path) -> None:  # type: ignore[no-untyped-def]
    folder.parent.mkdir()
    folder.write_text("a file")
    with pytest.raises(HostError, match=r"bundle cannot be a folder of collateral \(Not a directory\)"):
        fetch(refresh=True)
    assert server.asked == []


def test_a_folder_that_cannot_be_made_is_named(fetch, folder: Path) -> None:  # type: ignore[no-untyped-def]
    folder.parent.symlink_to("nowhere/at/all")
    with pytest.raises(HostError, match="bundle cannot be made"):
        fetch()


def test_a_manifest_that_cannot_be_read_is_said(fetch, folder: Path) -> None:  # type: ignore[no-untyped-def]
    fetch()
    (folder / NAME).write_bytes(b"{}")
    with pytest.raises(StateCorrupt, match=r"Remove collateral\.manifest"):
        fetch(refresh=True)
    assert verifies(folder), "verification does not need it"


# ------------------------------------------------------------------------------------------------------------- rollback


@pytest.mark.parametrize("what", ["TCB info", "revocation list"])
def test_an_older_statement_does_not_replace_a_newer_one(
    fetch, server: Server, folder: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    """Both are signed and current: whoever stands before the server may replay what was true before."""
    if what == "TCB info":
        new = platform()
        monkeypatch.setattr(dcap_quotes, "ISSUED", dcap_quotes.ISSUED - timedelta(days=3))
        server.routes |= new
        fetch()
        server.routes |= platform()
    else:
        server.routes |= amd(crl=attesting.crl("Milan", start=AT - timedelta(days=1)))
        fetch()
        server.routes |= amd()
    before = content(folder)
    with pytest.raises(MessageRefused, match=f"the {what}.* older than that in the bundle"):
        fetch(refresh=True)
    assert content(folder) == before
    (folder / NAME).unlink()  # whoever wants the older one says so
    fetch(refresh=True)
    assert content(folder) != before


# ------------------------------------------------------------------------------------------------------- what is in it


def test_dates_out_of_range_are_an_error_and_no_crash(tmp_path: Path) -> None:
    document = json.loads(Platform().document())
    info = json.loads(document["tcb_info"]) | {"nextUpdate": "9999-12-31T23:59:59-14:00"}
    (tmp_path / "a.json").write_text(json.dumps(document | {"tcb_info": json.dumps(info)}))
    with pytest.raises(HostError, match="no date"):
        bundle.held(tmp_path)


def test_files_without_dates_have_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (one,) = bundle.held(tmp_path)
    assert (one.origin, one.parts, one.problems(datetime.now(UTC))) == ("own", (), [])


def test_a_folder_without_collateral(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="holds no collateral"):
        bundle.held(tmp_path)


def test_what_is_fetched_counts_for_no_tpm() -> None:
    """No name that ``fetch`` gives a file is one under which roots or keys of TPMs are read."""
    names = [
        intel.file_name(IntelNeed("TDX", "00" * 6, "platform")),
        *amd_client.file_names(AmdNeed("Milan", "vcek", bytes(range(64)), bytes(8))),
        *nvidia.file_names(NvidiaNeed("tpm-root", "tpm-key", "tpm-root")),
    ]
    assert not [name for name in names if name.startswith((TPM_ROOT, TPM_KEY))]

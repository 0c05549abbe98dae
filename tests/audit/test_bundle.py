"""Bundles: what goes in, the one form that they have, and attacks on whoever reads them."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from party_logs import AT, ROOT, examined, failed, file, judged, lying, named, tile_log

from quatrefoil.audit import Event
from quatrefoil.audit.archive import ArchiveReader, write_archive
from quatrefoil.audit.bundling import README_TEXT, make_bundle
from quatrefoil.audit.evidence import Bundle, Evidence
from quatrefoil.audit.log import OWNER, PAYLOADS
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, PolicyInvalid
from quatrefoil.policy import Policy
from quatrefoil.tlog.tiles import CHECKPOINT
from world import NAMES

LOG = "logs/aggregator-hub"
EXAMPLE = Path(__file__).parents[2] / "examples" / "policies" / "hospitals.toml"


def archive(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    write_archive(out, members)
    return out.getvalue()


def content(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rewritten(bundle: Path, changes: dict[str, bytes | None]) -> None:
    """In the form of bundles, with members exchanged, added or (None) left out."""
    members = content(bundle) | changes
    bundle.write_bytes(archive([(name, data) for name, data in sorted(members.items()) if data is not None]))


# ----------------------------------------------------------------------------------------------------------- what is in


def test_a_bundle_of_all_parties_passes_every_check(job: Path, policy: Policy) -> None:
    found = examined(job / "bundle.zip", policy=policy)
    assert found.verdict.failed == ()
    assert {"bundle", "agreement"} <= found.verdict.by_name().keys()
    labels = [head.label for head in found.verdict.heads]
    assert labels == ["aggregator-hub", "keeper-keeper", *(f"silo-{name}" for name in NAMES)]
    assert found.verdict.size == found.verdict.heads[0].size
    assert [one.contributors for one in found.facts[0].rounds] == [NAMES, NAMES, NAMES[:3]]
    assert [one.reason for one in found.facts[0].voids] == ["asked for by hub: the network was down"]


def test_equal_logs_make_equal_files(job: Path) -> None:
    states = [job / name for name in ("keeper", "hub")]
    make_bundle(states, job / "one.zip")
    make_bundle(states[::-1], job / "two.zip")
    assert (job / "one.zip").read_bytes() == (job / "two.zip").read_bytes()


def test_it_holds_what_an_auditor_needs_and_never_keys_or_what_is_the_writers_own(job: Path) -> None:
    make_bundle([job / "hub"], job / "hub.zip", EXAMPLE)
    names = content(job / "hub.zip").keys()
    assert {"README.txt", "policy.toml", "trust/root.pem", "trust/crl.pem", f"{LOG}/owner"} <= names
    assert not [name for name in names if any(word in name for word in ("key", "journal", "lock", "index", "sqlite"))]
    secrets = [path.read_bytes() for path in (job / "hub" / "log-keys").glob("*.pem")]
    whole = (job / "hub.zip").read_bytes()
    assert len(secrets) == 3 and not any(one.splitlines()[1] in whole for one in secrets)


def test_only_the_tiles_of_the_checkpoint_go_in(tmp_path: Path) -> None:
    with tile_log(tmp_path / "hub", "hub") as log:
        for number in range(300):
            log.append("x-a", {"n": number})
    make_bundle([tmp_path / "hub"], tmp_path / "b.zip")
    tiles = sorted(name for name in content(tmp_path / "b.zip") if "/tile/" in name)
    wanted = ["0/000", "0/001.p/45", "1/000.p/1", "entries/000", "entries/001.p/45"]
    assert tiles == [f"{LOG}/tile/{name}" for name in wanted]
    assert judged(tmp_path / "b.zip").valid


def test_a_log_that_grows_meanwhile_is_bundled_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quatrefoil.audit import bundling

    with tile_log(tmp_path / "hub", "hub") as log:
        log.append_all([Event("x-a", {"n": n}) for n in range(200)])
        write = bundling.write_archive

        def growing(out, members):
            log.append_all([Event("x-a", {"n": n}) for n in range(400)])
            return write(out, members)

        monkeypatch.setattr(bundling, "write_archive", growing)
        assert make_bundle([tmp_path / "hub"], tmp_path / "b.zip").logs == {"aggregator-hub": 201}
    verdict = judged(tmp_path / "b.zip")
    assert verdict.valid and verdict.size == 201


def test_other_programs_read_it_as_a_zip(job: Path) -> None:
    with zipfile.ZipFile(job / "bundle.zip") as opened:
        assert opened.testzip() is None
        assert opened.read("README.txt").decode() == README_TEXT
        assert {one.compress_type for one in opened.infolist()} == {zipfile.ZIP_STORED}


def test_the_policy_that_came_along_is_compared(job: Path) -> None:
    make_bundle([job / "hub"], job / "hub.zip", EXAMPLE)
    assert "that came along" in failed(job / "hub.zip")["policy"]


def test_a_policy_that_is_none_is_neither_bundled_nor_passed(job: Path) -> None:
    (job / "wrong.toml").write_text("name = 1")
    with pytest.raises(PolicyInvalid):
        make_bundle([job / "hub"], job / "hub.zip", job / "wrong.toml")
    for text in (b"name = 1", b"\xff"):
        rewritten(job / "bundle.zip", {"policy.toml": text})
        assert failed(job / "bundle.zip").keys() == {"policy"}


def test_what_is_refused_to_be_bundled(job: Path) -> None:
    with pytest.raises(HostError, match="exists already"):
        make_bundle([job / "hub"], job / "bundle.zip")
    with pytest.raises(CallerError, match="second log of aggregator-hub"):
        make_bundle([job / "hub", job / "hub"], job / "x.zip")
    with pytest.raises(CallerError, match="there is no log"):
        make_bundle([job], job / "x.zip")
    with pytest.raises(HostError, match="cannot be written"):
        make_bundle([job / "hub"], job / "no" / "x.zip")
    file(job / "keeper", "trust/root.pem").write_bytes(b"another")
    with pytest.raises(CallerError, match="different root certificates"):
        make_bundle([job / "hub", job / "keeper"], job / "x.zip")
    next(file(job / "hub", PAYLOADS).iterdir()).unlink()
    with pytest.raises(EvidenceRejected, match="lacks payload"):
        make_bundle([job / "hub"], job / "x.zip")
    assert not list(job.glob("x.zip*"))


# ----------------------------------------------------------------------------------------------- several parties' logs


def attempt(kind: str, names: list[str], **more: object) -> Event:
    body = {"round": 1, "attempt": 0, "context": "aa" * 32, "contributors": names}
    return Event(kind, body | more)


def test_parties_that_say_different_things_of_one_attempt_fail_agreement(tmp_path: Path) -> None:
    opened = Event("round-opened", {"round": 1, "attempt": 0, "context": "aa" * 32})
    finished = attempt("round-finished", ["ambon", "bari", "cusco"], model="bb" * 32)
    released = attempt("key-release", ["ambon", "bari"], enclave="software", isolation="none")
    lying(tmp_path / "hub", [opened, finished])
    lying(tmp_path / "keeper", [opened, released], "keeper")
    make_bundle([tmp_path / "hub", tmp_path / "keeper"], tmp_path / "b.zip")
    found = failed(tmp_path / "b.zip")
    assert found.keys() == {"agreement"}
    assert "keeper-keeper (key-release) names another contributors" in found["agreement"]


def test_a_silo_that_took_another_model_fails_agreement(tmp_path: Path) -> None:
    opened = Event("round-opened", {"round": 1, "attempt": 0, "context": "aa" * 32})
    lying(tmp_path / "hub", [opened, attempt("round-finished", ["ambon"], model="bb" * 32)])
    lying(tmp_path / "ambon", [attempt("round-accepted", ["ambon"], model="cc" * 32)], "ambon")
    make_bundle([tmp_path / "hub", tmp_path / "ambon"], tmp_path / "b.zip")
    assert "names another model" in failed(tmp_path / "b.zip")["agreement"]


def test_a_log_under_the_name_of_another_party_fails_owner(job: Path) -> None:
    members = content(job / "bundle.zip")
    moved = {name.replace("silo-ambon", "silo-zurich"): data for name, data in members.items()}
    (job / "bundle.zip").write_bytes(archive(sorted(moved.items())))
    assert "the bundle calls it silo-zurich" in failed(job / "bundle.zip")["owner"]


@pytest.mark.parametrize("name", [f"{LOG}/{OWNER}", f"{LOG}/{CHECKPOINT}", "trust/root.pem", "trust/crl.pem"])
def test_what_is_left_out_is_missed(job: Path, name: str) -> None:
    rewritten(job / "bundle.zip", {name: None})
    assert not judged(job / "bundle.zip", trust=None).valid


def test_a_payload_that_is_left_out_is_missed(job: Path) -> None:
    name = next(name for name in content(job / "bundle.zip") if name.startswith(f"{LOG}/payload/"))
    rewritten(job / "bundle.zip", {name: None})
    assert "is missing" in failed(job / "bundle.zip")["payloads"]


# -------------------------------------------------------------------------------------------------------------- attacks


@pytest.mark.parametrize("name", [f"{LOG}/payload/{'ab' * 32}", f"{LOG}/tile/0/005", "logs/silo-rome/tile/0/000"])
def test_a_file_that_no_log_needs_fails_bundle(job: Path, name: str) -> None:
    rewritten(job / "bundle.zip", {name: b"something"})
    assert "bundle" in failed(job / "bundle.zip")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        f"{LOG}/../../x",
        f"{LOG}/payload/../owner",
        f"{LOG}/journal",
        f"{LOG}/index.sqlite",
        "log-keys/ed25519.pem",
        f"{LOG}/payload/{'AB' * 32}",
        f"{LOG}/tile/64/000",
        f"{LOG}/tile/0/000.p/0",
        f"{LOG}\\owner",
        "logs/king-hub/owner",
        "logs/silo-../owner",
        "README.txt/",
        "run.html",
    ],
)
def test_a_name_that_no_bundle_has_is_refused(job: Path, name: str) -> None:
    rewritten(job / "bundle.zip", {name: b"something"})
    found = failed(job / "bundle.zip")
    assert "which no bundle has" in found["bundle"]
    assert all("could not be run" in detail for check, detail in found.items() if check != "bundle")


def test_a_name_twice_is_refused(job: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            made.writestr(zipfile.ZipInfo("README.txt", (1980, 1, 1, 0, 0, 0)), b"x")
    (job / "bundle.zip").write_bytes(out.getvalue())
    assert "bundle" in failed(job / "bundle.zip")
    twice = archive([("README.txt", b"x")]) + b""
    doubled = _with_directory_twice(twice)
    (job / "bundle.zip").write_bytes(doubled)
    assert "bundle" in failed(job / "bundle.zip")


def _with_directory_twice(data: bytes) -> bytes:
    """The one entry of the directory repeated, and the end mended: both name the same bytes."""
    start = data.index(b"PK\x01\x02")
    entry, end = data[start:-22], data[-22:]
    mended = end[:8] + struct.pack("<2H2I", 2, 2, 2 * len(entry), start) + end[20:]
    return data[:start] + 2 * entry + mended


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_nothing_is_ever_decompressed(job: Path, method: int) -> None:
    """A hundred megabytes of nothing in a small file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("README.txt", bytes(1 << 24))
    (job / "bundle.zip").write_bytes(out.getvalue())
    assert "in another form than bundles have" in failed(job / "bundle.zip")["bundle"]


def test_a_size_that_is_not_there_is_refused(job: Path) -> None:
    data = bytearray(archive([("README.txt", b"x" * 100)]))
    start = data.index(b"PK\x01\x02")
    for at in (18, 22, start + 20, start + 24):
        data[at : at + 4] = struct.pack("<I", 1 << 31)
    (job / "bundle.zip").write_bytes(data)
    assert "bundle" in failed(job / "bundle.zip")


def test_a_member_larger_than_any_file_of_a_log_is_refused(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quatrefoil.audit import evidence

    monkeypatch.setattr(evidence, "LARGEST_FILE", 1000)
    assert "more than any such file has" in failed(job / "bundle.zip")["bundle"]


@pytest.mark.parametrize("kept", [0, 1, 21, 22, 100, -1, -22, -23, -1000])
def test_a_bundle_that_was_cut_short_is_refused(job: Path, kept: int) -> None:
    path = job / "bundle.zip"
    path.write_bytes(path.read_bytes()[:kept])
    assert "bundle" in failed(path)


@pytest.mark.parametrize("place", ["front", "end", "between", "comment"])
def test_bytes_that_belong_to_nothing_are_refused(job: Path, place: str) -> None:
    path = job / "bundle.zip"
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    path.write_bytes(
        {
            "front": b"#!/bin/sh\n" + data,
            "end": data + b"x",
            "between": data[:start] + b"x" + data[start:],
            "comment": data[:-2] + struct.pack("<H", 5) + b"hello",
        }[place]
    )
    assert "bundle" in failed(path)


def test_an_encrypted_member_is_refused(job: Path) -> None:
    path = job / "bundle.zip"
    data = bytearray(path.read_bytes())
    for at in (6, data.index(b"PK\x01\x02") + 8):
        data[at] |= 1
    path.write_bytes(data)
    assert "bundle" in failed(path)


def test_a_name_told_differently_in_two_places_is_refused(job: Path) -> None:
    path = job / "bundle.zip"
    path.write_bytes(path.read_bytes().replace(b"README.txt", b"README.tXt", 1))
    assert "introduces" in failed(path)["bundle"]


def test_every_damaged_member_that_is_read_fails_its_own_check_too(job: Path) -> None:
    path = job / "bundle.zip"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"samples":200', b'"samples":201', 1))
    found = failed(path)
    assert {"bundle", "leaves"} <= found.keys() and "another checksum" in found["leaves"]


def test_a_damaged_root_leaves_the_logs_to_be_checked(job: Path) -> None:
    path = job / "bundle.zip"
    path.write_bytes(path.read_bytes().replace(b"-----BEGIN CERTIFICATE", b"-----BEGIN CERTIFICATa", 1))
    assert failed(path).keys() == {"bundle"}
    assert {"trust", "owner"} <= failed(path, trust=None).keys()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    lying(folder / "hub", [Event("x-a", {"n": 1}, {"document": b"a document"}), Event("x-b", {})])
    make_bundle([folder / "hub"], folder / "b.zip", EXAMPLE)
    return folder / "b.zip"


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_can_be_altered_unseen(small: Path, tmp_path: Path, data: st.DataObject) -> None:
    """None at all: headers are computed and compared, and members have checksums, the README among them."""
    content = bytearray(small.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    altered = tmp_path / "altered.zip"
    altered.write_bytes(content)
    assert "bundle" in failed(altered, trust=None)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_of_the_evidence_can_be_altered_with_its_checksum(
    small: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Whoever alters it makes the checksums anew. What is for people to read is harmless: the README, and line ends,
    comments and the like in PEM and TOML; everything else is held to a signature under the auditor's own root."""
    members = content(small)
    name = data.draw(st.sampled_from(sorted(name for name in members if name.startswith("logs/"))))
    member = bytearray(members[name])
    member[data.draw(st.integers(0, len(member) - 1))] ^= data.draw(st.integers(1, 255))
    altered = tmp_path / "altered.zip"
    altered.write_bytes(archive(sorted((members | {name: bytes(member)}).items())))
    found = failed(altered)
    known = {"owner", "checkpoint", "leaves", "tiles", "root", "entries", "payloads", "witnesses"}
    assert found.keys() & known, name


# ------------------------------------------------------------------------------------------------------------- the form


NAMED = st.text("abcdefghij/.0123456789", min_size=1, max_size=12)


@given(st.dictionaries(NAMED, st.binary(max_size=50), max_size=8))
@settings(deadline=None)
def test_what_is_written_is_read_and_by_other_programs_alike(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes]
) -> None:
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    path.write_bytes(archive(sorted(members.items())))
    with ArchiveReader(path) as reader:
        assert {name: reader.read(name) for name in reader.members} == members
        assert reader.read("missing") is None
    with zipfile.ZipFile(path) as opened:
        assert {one.filename: opened.read(one) for one in opened.infolist()} == members


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"], [""], ["ä"], ["a" * 256]])
def test_a_writer_refuses_names_out_of_order_or_of_another_form(names: list[str]) -> None:
    with pytest.raises(CallerError):
        archive([(name, b"") for name in names])


def test_more_members_than_a_plain_zip_counts(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with path.open("wb") as out:
        assert write_archive(out, ((f"{number:06}", b"") for number in range(70_000))) == 70_000
    with ArchiveReader(path) as reader:
        assert len(reader.members) == 70_000 and reader.read("069999") == b""
    with zipfile.ZipFile(path) as opened:
        assert len(opened.namelist()) == 70_000
    data = bytearray(path.read_bytes())
    data[-50] ^= 1  # in the wider end
    path.write_bytes(data)
    with pytest.raises(EvidenceRejected):
        ArchiveReader(path)


def test_offsets_beyond_four_gigabytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the same code with a smaller limit: the form is that of Zip64, which other programs follow."""
    from quatrefoil.audit import archive as module

    monkeypatch.setattr(module, "_FULL32", 300)
    path = tmp_path / "wide.zip"
    path.write_bytes(archive([(f"{number}", bytes(100)) for number in range(8)]))
    with ArchiveReader(path) as reader:
        assert all(reader.read(f"{number}") == bytes(100) for number in range(8))


def test_a_file_that_is_not_there_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="there is no log"):
        Evidence.open(tmp_path / "none.zip")
    with pytest.raises(HostError, match="cannot be read"):
        Bundle(tmp_path)


def test_the_bundle_says_how_many_files_it_has(job: Path) -> None:
    assert named(judged(job / "bundle.zip", trust=ROOT, at=AT), "bundle").detail.endswith("files of 6 logs")

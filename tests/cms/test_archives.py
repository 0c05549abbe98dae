"""Archives that OpenSSL made: read, refused when damaged, and sealed anew without plaintext on disk."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil import cli
from quatrefoil.errors import HostError, MessageRefused
from quatrefoil.transport.cms import ClassicalKey, open_archive
from quatrefoil.transport.cms.ber import INTEGER, OID, SEQUENCE, BerStream, Node, parse_all
from quatrefoil.transport.cms.recipients import der
from support import Consortium

FOLDER = Path(__file__).parents[1] / "vectors" / "cms"
CONTENT = hashlib.shake_256(b"quatrefoil cms vectors").digest(3000)
READ = [
    ("rsa-pkcs1-aes256-cbc.der", "rsa", "AES-256-CBC"),
    ("rsa-pkcs1-3des.pem", "rsa", "3DES-CBC"),
    ("rsa-oaep-sha1-aes192-cbc.der", "rsa", "AES-192-CBC"),
    ("rsa-oaep-sha256-aes256-gcm.der", "rsa", "AES-256-GCM"),
    ("rsa-smime-aes128-gcm.eml", "rsa", "AES-128-GCM"),
    ("rsa-and-ec-stream-aes128-cbc.der", "rsa", "AES-128-CBC"),
    ("rsa-and-ec-stream-aes128-cbc.der", "ec", "AES-128-CBC"),
    ("ec-sha384kdf-aes256wrap.der", "ec", "AES-256-CBC"),
    ("ec-default.der", "ec", "AES-128-CBC"),
    ("both-by-key-id.der", "rsa", "AES-256-CBC"),
    ("both-by-key-id.der", "ec", "AES-256-CBC"),
]


@cache  # OpenSSL checks an RSA key for long
def holder(name: str, certificate: str | None = None) -> ClassicalKey:
    return ClassicalKey.read(
        (FOLDER / f"{name}.key").read_bytes(), (FOLDER / f"{certificate or name}.crt").read_bytes()
    )


def content_of(archive: bytes, name: str) -> bytes:
    return open_archive(io.BytesIO(archive), holder(name)).content.read()


@pytest.mark.parametrize(("file", "name", "cipher"), READ)
def test_an_archive_gives_its_content(file, name, cipher):
    archive = open_archive(io.BytesIO((FOLDER / file).read_bytes()), holder(name))
    assert archive.content.read() == CONTENT
    assert (archive.cipher, archive.authentic) == (cipher, "GCM" in cipher)


def test_an_empty_archive_gives_nothing():
    assert content_of((FOLDER / "rsa-empty.der").read_bytes(), "rsa") == b""


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
def test_what_the_cryptography_library_writes_is_read(encoding):
    certificate = x509.load_pem_x509_certificate((FOLDER / "rsa.crt").read_bytes())
    content = bytes(range(256)) * 1000
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(content).add_recipient(certificate)
    written = builder.encrypt(encoding, [pkcs7.PKCS7Options.Binary])
    assert content_of(written, "rsa") == content


@pytest.mark.parametrize(
    ("file", "name", "problem"),
    [
        ("rsa-pkcs1-aes256-cbc.der", "other", "none of its 1 recipient"),
        ("rsa-pkcs1-aes256-cbc.der", "ec", "none of its 1 recipient"),
        ("ec-default.der", "rsa", "none of its 1 recipient"),
        ("password.der", "rsa", "none of its 1 recipient"),
        ("signed-only.der", "rsa", "content type 1.2.840.113549.1.7.2"),
        ("encrypted-data.der", "rsa", "content type 1.2.840.113549.1.7.6"),
        ("README.md", "rsa", "neither BER nor PEM"),
        ("rsa.crt", "rsa", r"an element|content type"),
    ],
)
def test_what_is_for_others_or_of_another_kind_is_refused(file, name, problem):
    with pytest.raises(MessageRefused, match=problem):
        content_of((FOLDER / file).read_bytes(), name)


@pytest.mark.parametrize("file", [file for file, name, _ in READ if name == "rsa" and file.endswith(".der")])
def test_an_archive_cut_anywhere_or_extended_is_refused(file):
    archive = (FOLDER / file).read_bytes()
    for size in [*range(0, len(archive), 37), len(archive) - 1]:
        with pytest.raises(MessageRefused):
            content_of(archive[:size], "rsa")
    with pytest.raises(MessageRefused, match="after its end"):
        content_of(archive + b"\x00", "rsa")


def test_an_authentic_archive_with_any_flipped_bit_in_content_or_tag_is_refused():
    archive = (FOLDER / "rsa-oaep-sha256-aes256-gcm.der").read_bytes()
    for position in range(len(archive) - 3018, len(archive), 13):
        flipped = bytearray(archive)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MessageRefused):
            content_of(bytes(flipped), "rsa")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_read_and_nothing_else_is_raised(data):
    """CBC has no integrity: altered content may come out. What must not happen is any other exception."""
    file, name, _ = data.draw(st.sampled_from(READ))
    archive = bytearray((FOLDER / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(archive) - 1, 600)))
        archive[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        content_of(bytes(archive), name)
    except MessageRefused as refused:
        assert "CMS archive" in refused.problem


@pytest.mark.parametrize(
    ("encoded", "problem"),
    [
        ("30", "ends too early"),
        ("3005", "ends too early"),
        ("1f8101", "which CMS has none of"),
        ("0000", "which CMS has none of"),
        ("0480", "value of indefinite length"),
        ("3089010101010101010101", "too long for any file"),
        ("308400100001", "over the limit"),
        ("3080" * 30, "nested too deeply"),
    ],
)
def test_malformed_ber_is_refused(encoded, problem):
    with pytest.raises(MessageRefused, match=problem):
        list(parse_all(bytes.fromhex(encoded)))


def test_an_element_that_reaches_beyond_what_holds_it_is_refused():
    stream = BerStream(io.BytesIO(bytes.fromhex("30020403010203")))
    stream.enter(0x30)
    assert stream.element().value == b"\x01\x02\x03"
    with pytest.raises(MessageRefused, match="a wrong length"):
        stream.leave()


def test_deeply_divided_content_is_refused():
    stream = BerStream(io.BytesIO(bytes.fromhex("a080" + "2480" * 1000)))
    with pytest.raises(MessageRefused, match="nested too deeply"):
        list(stream.octets(0x80))


def test_a_key_that_is_none_is_refused():
    for key, certificate in ((b"", b""), (b"x", (FOLDER / "rsa.crt").read_bytes())):
        with pytest.raises(HostError, match="cannot be read"):
            ClassicalKey.read(key, certificate)
    with pytest.raises(HostError, match="do not belong together"):
        holder("rsa", "other")
    assert "secret" in repr(holder("rsa"))


# ------------------------------------------------------------------------------------------------------ migration


@pytest.fixture
def here(tmp_path: Path, consortium: Consortium, monkeypatch: pytest.MonkeyPatch) -> Path:
    consortium.identity("north", "silo")
    (tmp_path / "north").symlink_to(consortium.folder("north", "silo"))
    for file in ("root.pem", "crl.pem"):
        (tmp_path / file).symlink_to(consortium.directory / file)
    for name in ("rsa", "ec", "other"):
        (tmp_path / f"{name}.key").write_bytes((FOLDER / f"{name}.key").read_bytes())
        (tmp_path / f"{name}.key").chmod(0o600)
        (tmp_path / f"{name}.crt").write_bytes((FOLDER / f"{name}.crt").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert run("seal-key new key --identity north --root root.pem") == 0
    return tmp_path


def run(line: str) -> int:
    return cli.main(line.split())


WITH = "--to key --identity north --root root.pem --out new.sealed"


@pytest.mark.parametrize(("file", "name", "cipher"), READ)
def test_a_classical_archive_becomes_a_sealed_file(here, capsys, file, name, cipher):
    assert run(f"rewrap {FOLDER / file} --from-cms {name}.key --cms-certificate {name}.crt {WITH}") == 0
    shown = capsys.readouterr().out
    assert cipher in shown and hashlib.sha256(CONTENT).hexdigest() in shown and "opened again with" in shown
    assert ("has no integrity" in shown) == ("GCM" not in cipher)
    assert run("open new.sealed --key key --root root.pem --from north --out back") == 0
    assert (here / "back").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rsa-pkcs1-aes256-cbc.der --from-cms other.key --cms-certificate other.crt", "none of its 1 recipient"),
        ("rsa-pkcs1-aes256-cbc.der --from-cms rsa.key", "goes with --cms-certificate"),
        ("rsa-pkcs1-aes256-cbc.der --from-cms rsa.key --cms-certificate rsa.crt --from north", "without --from"),
        ("rsa-pkcs1-aes256-cbc.der --from-cms rsa.key --cms-certificate ec.crt", "do not belong together"),
        ("rsa-pkcs1-aes256-cbc.der --key key --cms-certificate rsa.crt", "go with --from-cms"),
        ("rsa-pkcs1-aes256-cbc.der --key key --context x", "go with --from-cms"),
        ("rsa-pkcs1-aes256-cbc.der --key key", "no sealed file"),
    ],
)
def test_a_migration_that_is_refused_leaves_nothing(here, capsys, line, problem):
    before = sorted(here.iterdir())
    assert run(f"rewrap {FOLDER}/{line} {WITH}") == 1
    assert problem in capsys.readouterr().err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("size", [65, 3000, 1 << 20])
def test_numbers_that_no_archive_needs_are_refused_before_they_are_computed(size):
    """A megabyte of object identifier took minutes, and a number of thousands of digits cannot be written out."""
    (name,), (number,) = (list(parse_all(der(tag, b"\xff" * (size - 1) + b"\x7f"))) for tag in (OID, INTEGER))
    with pytest.raises(MessageRefused, match=f"a number of {size} bytes"):
        name.dotted  # noqa: B018
    with pytest.raises(MessageRefused, match=f"a number of {size} bytes"):
        number.number  # noqa: B018


def test_a_tag_size_of_thousands_of_digits_is_refused():
    archive = (FOLDER / "rsa-oaep-sha256-aes256-gcm.der").read_bytes()
    with pytest.raises(MessageRefused, match="a number of 3000 bytes"):
        content_of(with_tag_size(archive, b"\x7f" * 3000), "rsa")


def with_tag_size(archive: bytes, size: bytes) -> bytes:
    """The archive with another ICVlen in its GCMParameters, and every length around it corrected."""
    (outer,) = parse_all(archive)
    kind, wrapped = outer.children()
    version, recipients, (content_type, algorithm, content), *rest = split(wrapped.inside(0xA0))
    name, parameters = algorithm.children()
    nonce, *_ = parameters.children()
    new = der(SEQUENCE, name.raw + der(SEQUENCE, nonce.raw + der(INTEGER, size)))
    inner = der(SEQUENCE, content_type.raw + new + content.raw)
    fields = version.raw + recipients.raw + inner + b"".join(one.raw for one in rest)
    return der(SEQUENCE, kind.raw + der(0xA0, der(SEQUENCE, fields)))


def split(enveloped: Node) -> tuple:
    version, recipients, content, *rest = enveloped.children()
    return version, recipients, content.children(), *rest


def test_a_cut_or_altered_archive_leaves_nothing(here, capsys):
    for name, archive in (
        ("cut.der", (FOLDER / "rsa-pkcs1-aes256-cbc.der").read_bytes()[:-20]),
        ("altered.der", (FOLDER / "rsa-oaep-sha256-aes256-gcm.der").read_bytes()[:-1] + b"\x00"),
    ):
        (here / name).write_bytes(archive)
        assert run(f"rewrap {name} --from-cms rsa.key --cms-certificate rsa.crt {WITH}") == 1
        assert "the CMS archive" in capsys.readouterr().err
        assert not (here / "new.sealed").exists()


def test_an_open_classical_key_is_refused(here, capsys):
    (here / "rsa.key").chmod(0o644)
    line = f"rewrap {FOLDER}/rsa-pkcs1-aes256-cbc.der --from-cms rsa.key --cms-certificate rsa.crt {WITH}"
    assert run(line) == 1
    assert "open to others" in capsys.readouterr().err

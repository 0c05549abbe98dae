from __future__ import annotations

import shutil
import stat
from datetime import timedelta
from pathlib import Path

import forgery
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from quatrefoil.errors import CallerError, HostError, MessageRefused, QuatrefoilError, StateCorrupt
from quatrefoil.transport import (
    CertificateAuthority,
    Identity,
    PostQuantumTransport,
    TrustAnchor,
    profile,
    system_clock,
)
from quatrefoil.transport.authority import ROOT_KEY_FILE, to_pem
from quatrefoil.transport.request import request
from support import Consortium


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "ca", "root", clock=system_clock)


def test_an_issued_identity_is_whole_and_private(authority):
    identity = authority.issue("cleveland", "silo", hosts=["silo.example.org", "192.0.2.7", "2001:db8::1"])
    folder = authority.directory / "cleveland"
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {
        "key.pem": 0o600,
        "certificate.pem": 0o644,
        "root.pem": 0o644,
        "crl.pem": 0o644,
    }
    loaded = Identity.load(folder)
    assert (loaded.name, loaded.role, loaded.fingerprint) == ("cleveland", "silo", identity.fingerprint)
    assert TrustAnchor.load(folder).fingerprints == authority.trust.fingerprints
    assert profile.hosts_of(loaded.certificate) == ["silo.example.org", "192.0.2.7", "2001:db8::1"]


def test_the_algorithms_are_those_of_the_profile(authority):
    leaf = authority.issue("cleveland", "silo").certificate
    assert isinstance(authority.root.public_key(), mldsa.MLDSA87PublicKey)
    assert isinstance(leaf.public_key(), mldsa.MLDSA65PublicKey)
    # RFC 9881 section 2: id-ml-dsa-87
    assert leaf.signature_algorithm_oid.dotted_string == "2.16.840.1.101.3.4.3.19"
    assert authority.root.signature_algorithm_oid.dotted_string == "2.16.840.1.101.3.4.3.19"


def test_everything_issued_is_recorded(authority):
    serials = {authority.issue(name, "silo").certificate.serial_number for name in ("a", "b")}
    recorded = {int(file.stem, 16) for file in (authority.directory / "issued").iterdir()}
    assert recorded == serials


def test_a_loaded_authority_goes_on(authority):
    again = CertificateAuthority.load(authority.directory, clock=system_clock)
    identity = again.issue("keeper", "keeper")
    signed = PostQuantumTransport(identity, authority.trust, clock=system_clock).sign(b"x")
    assert PostQuantumTransport(identity, authority.trust, clock=system_clock).verify(signed).role == "keeper"
    assert "secret" in repr(again)


def test_a_silo_may_keep_its_own_key(authority, tmp_path):
    folder = tmp_path / "hospital"
    asked = request(folder, "hungary", "silo")
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    certificate = authority.sign_request(asked, name="hungary", role="silo")
    (folder / "certificate.pem").write_bytes(to_pem(certificate))
    assert Identity.load(folder).name == "hungary"


def test_nothing_is_overwritten(authority, tmp_path):
    authority.issue("cleveland", "silo")
    before = (authority.directory / "cleveland" / "key.pem").read_bytes()
    with pytest.raises(HostError, match="exists already"):
        authority.issue("cleveland", "silo")
    with pytest.raises(HostError, match="exists already"):
        CertificateAuthority.create(authority.directory, "root", clock=system_clock)
    with pytest.raises(HostError, match="exists already"):
        request(authority.directory / "cleveland", "cleveland", "silo")
    assert (authority.directory / "cleveland" / "key.pem").read_bytes() == before
    assert not list(authority.directory.glob(".*")) and not list(tmp_path.glob(".*"))  # nothing half-written


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "a b", "a\nb", "ä", "x" * 65, "root.pem"])
def test_a_bad_name_is_refused(authority, name):
    with pytest.raises((CallerError, HostError)):
        authority.issue(name, "silo")
    assert not (authority.directory / "issued").exists()


@pytest.mark.parametrize("name", ["issued", "revoked", "lists"])
def test_a_party_does_not_lie_among_the_authoritys_records(authority, tmp_path, name):
    with pytest.raises(CallerError, match="the authority's own"):
        authority.issue(name, "silo")
    assert authority.issue(name, "silo", directory=tmp_path / name).name == name


@pytest.mark.parametrize("role", ["", "Silo", "root", "silo,keeper"])
def test_an_unknown_role_is_refused(authority, role):
    with pytest.raises(CallerError, match="is not a role"):
        authority.issue("cleveland", role)


@pytest.mark.parametrize(
    "host", ["", "*.example.org", "a..b", "host:80", "-x", "x" * 64, "999.1.1.1.", "a b", "bücher"]
)
def test_a_bad_host_is_refused(authority, host):
    with pytest.raises(CallerError, match="neither a host name nor an IP address"):
        authority.issue("cleveland", "silo", hosts=[host])


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=-1), timedelta(days=4000)])
def test_a_lifetime_beyond_the_root_is_refused(authority, lifetime):
    with pytest.raises(CallerError, match="ends before now or after the root"):
        authority.issue("cleveland", "silo", lifetime=lifetime)


@pytest.mark.parametrize(("name", "role"), [("hungary", "keeper"), ("cleveland", "silo")])
def test_a_request_is_signed_only_for_what_it_asks(authority, tmp_path, name, role):
    asked = request(tmp_path / "hospital", "hungary", "silo")
    with pytest.raises(MessageRefused, match=f"'hungary' as silo, not for '{name}' as {role}"):
        authority.sign_request(asked, name=name, role=role)


def test_a_request_that_is_none_is_refused(authority, tmp_path):
    asked = request(tmp_path / "hospital", "hungary", "silo")
    for damaged in (b"", b"hello", asked[:200], asked.replace(b"REQUEST", b"KITTENS")):
        with pytest.raises(MessageRefused, match="cannot be read"):
            authority.sign_request(damaged, name="hungary", role="silo")


def test_a_request_altered_on_the_way_is_refused(authority, tmp_path):
    asked = x509.load_pem_x509_csr(request(tmp_path / "hospital", "hungary", "silo")).public_bytes(Encoding.DER)
    altered = x509.load_der_x509_csr(asked.replace(b"hungary", b"mallory")).public_bytes(Encoding.PEM)
    with pytest.raises(MessageRefused, match="not signed by the key it holds"):
        authority.sign_request(altered, name="mallory", role="silo")


def test_a_classical_request_is_refused(authority):
    key = ec.generate_private_key(ec.SECP256R1())
    subject, alternatives = profile.leaf_names("hungary", "silo", ())
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(alternatives, critical=False)
    with pytest.raises(MessageRefused, match="no ML-DSA-65 or ML-DSA-87 key"):
        authority.sign_request(
            builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), name="hungary", role="silo"
        )


def test_a_key_open_to_others_is_refused(authority):
    authority.issue("cleveland", "silo")
    key = authority.directory / "cleveland" / "key.pem"
    key.chmod(0o640)
    with pytest.raises(HostError, match="open to others"):
        Identity.load(key.parent)
    (authority.directory / ROOT_KEY_FILE).chmod(0o604)
    with pytest.raises(HostError, match="open to others"):
        CertificateAuthority.load(authority.directory, clock=system_clock)


UNKNOWN_CURVE = b"""-----BEGIN PRIVATE KEY-----
ME4CAQAwEAYHKoZIzj0CAQYFK4EEAAYENzA1AgEBBA7T3aeFAvWYRiHwvMX5IqEg
Ax4ABIALuOU46Ir8avC+EvburQiS1WJq5FtJo24Vgvc=
-----END PRIVATE KEY-----
"""
"""A key on secp112r1, which the library has heard of and does not read."""


def test_a_damaged_identity_is_refused(authority, tmp_path):
    for name in ("a", "b"):
        authority.issue(name, "silo")
    folder = authority.directory / "a"

    def damaged(file: str, content: bytes) -> Path:
        copy = tmp_path / f"copy-{file}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(folder, copy)
        (copy / file).write_bytes(content)
        return copy

    for file in ("key.pem", "certificate.pem"):
        with pytest.raises(StateCorrupt, match="cannot be read"):
            Identity.load(damaged(file, b"-----BEGIN NOTHING-----"))
    other = (authority.directory / "b" / "certificate.pem").read_bytes()
    with pytest.raises(StateCorrupt, match="with its own certificate"):
        Identity.load(damaged("certificate.pem", other))
    classical = ec.generate_private_key(ec.SECP256R1())
    pem = classical.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(StateCorrupt, match="with its own certificate"):
        Identity.load(damaged("key.pem", pem))
    with pytest.raises(StateCorrupt, match="cannot be read"):
        Identity.load(damaged("key.pem", UNKNOWN_CURVE))
    key = Identity.load(folder).private_key()
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    with pytest.raises(StateCorrupt, match="is encrypted"):
        Identity.load(damaged("key.pem", encrypted))
    (folder / "certificate.pem").unlink()
    with pytest.raises(HostError, match="cannot be read"):
        Identity.load(folder)
    with pytest.raises(HostError, match="not a directory"):
        Identity.load(tmp_path / "nowhere")


def test_a_damaged_authority_is_refused(authority, tmp_path):
    other = CertificateAuthority.create(tmp_path / "other", "root", clock=system_clock)
    key_file = authority.directory / ROOT_KEY_FILE
    key_file.write_bytes((other.directory / ROOT_KEY_FILE).read_bytes())
    with pytest.raises(StateCorrupt, match="with its own root"):
        CertificateAuthority.load(authority.directory, clock=system_clock)
    key_file.write_bytes(b"nothing")
    with pytest.raises(StateCorrupt, match="cannot be read"):
        CertificateAuthority.load(authority.directory, clock=system_clock)


def test_only_a_root_of_the_profile_is_a_trust_anchor(authority, tmp_path):
    leaf = authority.issue("cleveland", "silo").certificate
    _, classical = forgery.classical()
    for certificate in (leaf, classical):
        with pytest.raises(HostError, match="no ML-DSA-87 key"):
            TrustAnchor([certificate])
    key = mldsa.MLDSA87PrivateKey.generate()
    _, no_root = forgery.issue(forgery.Recipe(key=key), key, x509.Name([]))
    with pytest.raises(HostError, match="not a self-signed root"):
        TrustAnchor([no_root])
    with pytest.raises(CallerError, match="no root certificate"):
        TrustAnchor([])
    (tmp_path / "x.pem").write_bytes(b"hello")
    with pytest.raises(StateCorrupt, match="not a PEM certificate"):
        TrustAnchor.load(tmp_path / "x.pem")
    with pytest.raises(HostError, match="cannot be read"):
        TrustAnchor.load(tmp_path / "nowhere.pem")


def test_several_roots_may_be_trusted(consortium, stranger):
    first, second = consortium.trust, stranger.trust
    both = TrustAnchor([*first.roots, *second.roots], lists=[*first.lists, *second.lists])
    verifier = PostQuantumTransport(consortium.identity("hub", "aggregator"), both, clock=consortium.clock)
    for origin in (consortium, stranger):
        assert verifier.verify(origin.transport("cleveland", "silo").sign(b"x")).signer == "cleveland"


def test_a_full_disk_leaves_nothing_behind(authority, tmp_path, monkeypatch):
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HostError, match="No space left"):
        authority.issue("cleveland", "silo", directory=tmp_path / "new")
    monkeypatch.undo()
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".*"))


def test_every_refusal_says_what_to_do(tmp_path):
    with pytest.raises(QuatrefoilError) as refusal:
        Consortium(tmp_path / "x", "bad name")
    assert refusal.value.hint

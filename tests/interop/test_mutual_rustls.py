"""A rustls server that demands our client's certificate: what no package has, so that it is built here (tests/peers).

webpki verifies our ML-DSA leaf, its signature in the handshake and, if asked, a revocation list of our root. Building
its AWS-LC takes longer than all other peers together: it is for `make test-all`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from peer_program import CRATE
from tests.transport import forgery
from tests.transport.listening import dial

from quatrefoil.errors import ChannelRefused
from quatrefoil.transport import ChannelPolicy, Identity
from quatrefoil.transport.authority import ROOT_KEY_FILE
from support import Consortium

pytestmark = pytest.mark.slow

GROUPS = ["X25519MLKEM768", "SecP256r1MLKEM768"]
REFUSED = "refused|does not trust the root of our certificate|does not speak|accepts neither"


class Server:
    def __init__(self, port: int, lines: Iterator[str]) -> None:
        self.port = port
        self._lines = lines

    def saw(self) -> list[str]:
        """What it says of the next client: ``["ok", group, certificate]`` or ``["error", words]``."""
        kind, _, rest = next(self._lines).strip().partition(" ")
        return [kind, *rest.split(" ")] if kind == "ok" else [kind, rest]


@pytest.fixture(scope="module")
def program() -> Path:
    command = ["cargo", "build", "--quiet", "--locked", "--features", "tls", "--bin", "mutual"]
    subprocess.run(command, cwd=CRATE, check=True)
    return CRATE / "target" / "debug" / "mutual"


@contextmanager
def running(
    program: Path, consortium: Consortium, group: str = GROUPS[0], *, protocol: str = "quatrefoil/1", revoked: str = ""
) -> Iterator[Server]:
    consortium.identity("hub", "aggregator")
    folder = consortium.folder("hub", "aggregator")
    files = [folder / "certificate.pem", folder / "key.pem", consortium.directory / "root.pem"]
    command = [program, *files, group, protocol, *([revoked] if revoked else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()), process.stdout)
        finally:
            process.kill()


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("size", [0, 700_000])
def test_it_verifies_our_certificate_and_we_speak(program, consortium, group, size):
    silo = consortium.identity("cleveland", "silo")
    with running(program, consortium, group) as server:
        with dial(consortium, server.port, policy=ChannelPolicy("strict", (group,))) as channel:
            channel.send(bytes(size))
            assert channel.receive(size) == bytes(size)
            assert (channel.group, channel.peer.name) == (group, "hub")
        kind, named, shown = server.saw()
        assert (kind, named.lower(), shown) == ("ok", group.lower(), silo.certificate_der.hex())


def test_a_client_of_another_root_is_refused(program, consortium, stranger):
    with running(program, consortium) as server:
        with pytest.raises(ChannelRefused, match="does not trust the root of our certificate"):
            dial(consortium, server.port, identity=stranger.identity("cleveland", "silo"))
        kind, words = server.saw()
        assert kind == "error" and "UnknownIssuer" in words


@pytest.mark.parametrize(
    ("defect", "expected"),
    [("expired", "Expired"), ("not yet valid", "NotValidYet"), ("not for clients", "InvalidPurpose")],
)
def test_a_client_with_a_defect_is_refused(program, consortium, defect, expected):
    identity = Identity(*forgery.forge(forgery.DEFECTS[defect][0], consortium))
    with running(program, consortium) as server:
        with pytest.raises(ChannelRefused, match=REFUSED):
            dial(consortium, server.port, identity=identity)
        kind, words = server.saw()
        assert kind == "error" and expected in words


def test_a_client_of_another_group_is_refused_and_refuses(program, consortium):
    with running(program, consortium, "X25519") as server:
        with pytest.raises(ChannelRefused, match="takes no key exchange or no certificate of policy hybrid-768"):
            dial(consortium, server.port)
        assert server.saw()[0] == "error"


def test_a_revocation_list_of_our_root_is_read_and_obeyed(program, consortium, tmp_path):
    other, silo = consortium.identity("other", "silo"), consortium.identity("cleveland", "silo")
    file = tmp_path / "revoked.pem"
    file.write_bytes(revoking(consortium, other.certificate))
    with running(program, consortium, revoked=str(file)) as server:
        dial(consortium, server.port).close()
        assert server.saw() == ["ok", GROUPS[0], silo.certificate_der.hex()]
        with pytest.raises(ChannelRefused, match=REFUSED):
            dial(consortium, server.port, identity=other)
        kind, words = server.saw()
        assert kind == "error" and "Revoked" in words


def revoking(consortium: Consortium, certificate: x509.Certificate) -> bytes:
    """A revocation list of the root, in PEM, that names ``certificate``."""
    root, now = consortium.authority.root, datetime.now(UTC)
    key = load_pem_private_key((consortium.directory / ROOT_KEY_FILE).read_bytes(), None)
    entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now).build()
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(now - timedelta(minutes=5))
        .next_update(now + timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_revoked_certificate(entry)
        .sign(key, None)
        .public_bytes(Encoding.PEM)
    )

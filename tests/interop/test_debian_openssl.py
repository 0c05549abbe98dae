"""The OpenSSL of the operating system, by its command: 3.0 in Debian 12, without any of what a channel needs.

It stands for every peer that has not been upgraded: it must be refused in both directions, for the reason that it is.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.transport import forgery
from tests.transport.listening import dial, listening

from quatrefoil.errors import ChannelRefused

OPENSSL = shutil.which("openssl")


def version() -> tuple[int, int]:
    said = subprocess.run([str(OPENSSL), "version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"OpenSSL (\d+)\.(\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


pytestmark = pytest.mark.skipif(
    OPENSSL is None or version() >= (3, 5), reason="no `openssl` here that is too old for ML-KEM and ML-DSA"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("openssl")
    key, certificate = forgery.classical()
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return folder


CLIENTS = {
    "TLS 1.3, as it comes": ([], "offers no key exchange of policy hybrid-768, none of X25519MLKEM768"),
    "TLS 1.3, P-384": (["-groups", "P-384"], "offers no key exchange of policy hybrid-768, none of X25519MLKEM768"),
    "TLS 1.2": (["-tls1_2"], "does not speak TLS 1.3"),
}


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("shows", [True, False])
def test_its_client_is_refused(consortium, files, kind, shows):
    options, expected = CLIENTS[kind]
    if shows:
        options = [*options, "-cert", files / "certificate.pem", "-key", files / "key.pem"]
    with listening(consortium) as server:
        command = [OPENSSL, "s_client", "-connect", f"127.0.0.1:{server.port}", "-alpn", "quatrefoil/1", *options]
        ended = subprocess.run(command, input=b"", capture_output=True, timeout=20)
        assert ended.returncode != 0 and b"alert" in ended.stderr
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused) and expected in refusal.problem
        with dial(consortium, server.port) as channel:  # the server goes on
            channel.send(b"hello")
            assert channel.receive(5) == b"hello"


@contextmanager
def s_server(files: Path, *options: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(OPENSSL), "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", *options]
    command += ["-cert", str(files / "certificate.pem"), "-key", str(files / "key.pem")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            for _ in range(500):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.02)
            yield port
        finally:
            it.kill()


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), "takes no key exchange or no certificate of policy hybrid-768"), (("-tls1_2",), "does not speak TLS 1.3")],
    ids=["TLS 1.3", "TLS 1.2"],
)
def test_its_server_is_refused(consortium, files, options, expected):
    with s_server(files, *options) as port, pytest.raises(ChannelRefused) as refused:
        dial(consortium, port)
    assert expected in refused.value.problem and f"127.0.0.1:{port}" in refused.value.problem


def test_it_cannot_read_our_certificates(consortium):
    """Not even to show them: an operator needs `quatrefoil ca show`."""
    folder = consortium.folder("cleveland", "silo")
    consortium.identity("cleveland", "silo")
    command = [str(OPENSSL), "x509", "-in", str(folder / "certificate.pem"), "-noout", "-text"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    assert "Unable to load Public Key" in said

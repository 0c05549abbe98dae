"""The example's upstream with weights out of a sealed model, under the key that a broker's holder passes to it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quatrefoil import resources
from quatrefoil.resources.container import FILE, About, Owner, claimed_time, opened_front, reading, seal
from quatrefoil.transport import system_clock
from quatrefoil.transport.sealed import SUITES, Judged, RecipientKey
from support import Consortium
from upstreams import running

SERVING = running.EXAMPLE.parent / "serving" / "policy.toml"
RELEASE = running.EXAMPLE.parent / "release" / "hospital-model.toml"
PLACEHOLDER = "00112233445566778899aabbccddeeff" * 2


@pytest.fixture(scope="module")
def container(consortium: Consortium, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """The model, sealed by its owner: the file, its key, and its root."""
    model = running.trained(tmp_path_factory.mktemp("model"))
    security, broker = consortium.transport("hospital", "silo"), RecipientKey.generate(SUITES[0])
    owner = Owner(security.sign, security.verify, Ed25519PrivateKey.generate())
    released = resources.load(RELEASE)
    about = About("model", "ward", 1, int(system_clock().timestamp()), tuple(released.entry), released, "npz")
    sink = io.BytesIO()
    with reading(model, FILE, salt=None) as given:
        public = (broker.recipient.public,)
        seal(given, sink, about=about, owner=owner, brokers=public, threads=1, progress=lambda _: None)
    file = tmp_path_factory.mktemp("sealed") / "ward.sealed"
    file.write_bytes(sink.getvalue())
    verifying = claimed_time(consortium.trust, judged=Judged.NOW, clock=system_clock)
    with opened_front(file, verifying) as (_, front):
        return file, bytes(front.open_key(broker)), front.owned.resource.content


def sealed_upstream(container: Path, key: bytes, root: bytes, people: Consortium, folder: Path) -> tuple[int, str]:
    """The upstream with the key in a pipe, as ``broker hold`` runs it: its exit code, or -1 for one that is listening,
    and what it says."""
    text = SERVING.read_text().replace(PLACEHOLDER, root.hex())
    (folder / "serving").mkdir(exist_ok=True)
    (folder / "serving" / "policy.toml").write_text(text)
    shutil.copytree(SERVING.parents[1] / "appraisal", folder / "appraisal", dirs_exist_ok=True)
    reading_end, writing_end = os.pipe()
    os.write(writing_end, key)
    os.close(writing_end)
    command = [sys.executable, "upstream.py", str(container), "--listen", "127.0.0.1:0"]
    command += ["--policy", str(folder / "serving" / "policy.toml"), "--root", str(people.directory / "root.pem")]
    environment = {**os.environ, "QUATREFOIL_KEY_FD": str(reading_end)}
    process = subprocess.Popen(
        command,
        cwd=running.EXAMPLE,
        env=environment,
        pass_fds=(reading_end,),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(reading_end)
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line.startswith("listening on "):
            process.kill()
            return -1, line
        return process.wait(running.SECONDS), line + process.stdout.read()


def test_weights_come_out_of_a_sealed_model(
    container: tuple[Path, bytes, bytes], consortium: Consortium, tmp_path: Path
) -> None:
    assert sealed_upstream(*container, consortium, tmp_path)[0] == -1


def test_weights_of_another_root_are_not_served(
    container: tuple[Path, bytes, bytes], consortium: Consortium, tmp_path: Path
) -> None:
    file, key, root = container
    code, said = sealed_upstream(file, key, bytes(32), consortium, tmp_path)
    assert code > 0 and "root" in said
    code, said = sealed_upstream(file, bytes(32), root, consortium, tmp_path)
    assert code > 0
    altered = tmp_path / "altered.sealed"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    altered.write_bytes(content)
    code, said = sealed_upstream(altered, key, root, consortium, tmp_path)
    assert code > 0

"""``quatrefoil proxy`` as a process: what it says, whom it answers, how it ends, and what it does not begin with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from served import WARD

import attesting
from quatrefoil import cli, exchange
from quatrefoil.enclave import snp
from running_server import running
from serving_parts import MODEL, own_roots
from serving_policies import serving_policy

TOKEN = "0123456789abcdef0123456789abcdef"

__all__ = ["own_roots"]


@pytest.fixture
def policy(tmp_path):
    shutil.copy(attesting.FOLDER / "policy.toml", tmp_path / "appraisal.toml")
    (tmp_path / "collateral").mkdir()
    shutil.copy(Path(snp.__file__).parent / "roots" / "ark_milan.pem", tmp_path / "collateral")
    file = tmp_path / "policy.toml"
    file.write_text(serving_policy(MODEL, bytes(range(32)).hex(), appraisal="appraisal.toml"))
    return file


@pytest.fixture
def arguments(policy, consortium):
    """Of the command, but for its URL and what a test adds."""
    consortium.identity(WARD, "silo")
    return [
        *("--policy", str(policy), "--listen", "127.0.0.1:0"),
        *("--identity", str(consortium.folder(WARD, "silo")), "--root", str(consortium.directory / "root.pem")),
        *("--collateral", str(policy.parent / "collateral")),
    ]


@contextmanager
def command(*arguments, lines):
    """The process and where it listens, after it has said ``lines`` lines."""
    program = [sys.executable, str(Path(__file__).with_name("patched_command.py")), "proxy", *arguments]
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tests), *(one for one in sys.path if one)])
    process = subprocess.Popen(program, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True)
    try:
        said = [process.stderr.readline() for _ in range(lines)]
        assert "proxy listens on http://" in said[-1], said
        yield process, said, said[-1].split()[3].rstrip(",")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def curl(*arguments):
    return subprocess.run(["curl", "--silent", *arguments], capture_output=True, timeout=60)


def test_it_attests_listens_answers_and_ends_when_it_is_told_to(policy, arguments, consortium, own_roots, tmp_path):
    with running(consortium, tmp_path / "server", policy=exchange.load(policy)) as server:
        receipts = tmp_path / "kept"
        with command(server.url, *arguments, "--receipts", str(receipts), lines=2) as (process, said, url):
            assert said[0].startswith("the server is attested: sev-snp.measurement=")
            assert said[1].rstrip().endswith("for programs of this user")
            limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
            cores = next(line for line in limits if line.startswith("Max core file size"))
            assert cores.split()[4:6] == ["0", "0"]  # it has everything in plain
            assert json.loads(curl(f"{url}/v2/health/ready").stdout) == {"ready": True}
            assert (
                curl(f"{url}/v2/models/none/infer", "--json", "{}", "--write-out", "%{http_code}").stdout[-3:] == b"404"
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0 and process.stderr.read() == ""
        assert len(list(receipts.glob("*.receipt"))) == 2


def test_a_token_lets_in_who_has_it(policy, arguments, consortium, own_roots, tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with (
        running(consortium, tmp_path / "server", policy=exchange.load(policy)) as server,
        command(server.url, *arguments, "--token", str(token), lines=2) as (_, said, url),
    ):
        assert said[1].rstrip().endswith("for whoever has the token")
        shown = ["--header", f"Authorization: Bearer {TOKEN}", f"{url}/v2/health/ready"]
        assert json.loads(curl(*shown).stdout) == {"ready": True}
        assert "token" in json.loads(curl(f"{url}/v2/health/ready").stdout)["error"]


def test_a_server_that_is_not_there_yet_is_waited_for(arguments):
    with command("https://127.0.0.1:9", *arguments, lines=2) as (process, said, url):
        assert said[0].startswith("not attested yet")
        answered = curl(f"{url}/v2/health/ready", "--write-out", "%{http_code}").stdout
        assert answered.endswith(b"503") and process.stderr.readline().startswith("refused: ")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--listen", "0.0.0.0:8000"], "no loopback address"),
        (["--listen", "localhost:8000"], "no loopback address"),
        (["--listen", "[::]:8000"], "no loopback address"),
        (["--token", "{folder}/nowhere"], "openssl rand -hex 32"),
        (["--token", "{folder}/policy.toml"], "chmod 600"),
        (["--policy", "{folder}/nowhere"], "nowhere"),
        (["--identity", "{folder}"], "key.pem"),
        (["--collateral", "{folder}/nowhere"], "nowhere"),
        (["--relay", "http://127.0.0.1:1"], "https"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_does_not_begin_with_what_cannot_be_right(arguments, policy, capsys, more, said):
    given = [one.format(folder=policy.parent) for one in more]
    assert cli.main(["proxy", "https://127.0.0.1:9", *arguments, *given]) == 1
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and shown.out == ""


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "127.0.0.1:9", "https://", "https://user@127.0.0.1:9", "ftp://a"]
)
def test_it_asks_over_https_only(arguments, capsys, url):
    assert cli.main(["proxy", url, *arguments]) == 1
    assert "https://HOST" in capsys.readouterr().err

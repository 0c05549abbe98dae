"""``quatrefoil relay`` in a process of its own: it carries, keeps nothing that it must not see, and drains."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import Any

import pytest
from relay_world import MARKER, WHOLE, Gateway

from process_memory import found_in
from quatrefoil import cli
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import open_response, seal_request
from quatrefoil.web.client import WebClient
from web_service import client_context, server_context, serving


def arguments(consortium: Any, url: str, *more: str, name: str = "relay", role: str = "workload") -> list[str]:
    consortium.identity(name, role)
    identity = ["--identity", str(consortium.folder(name, role)), "--root", str(consortium.directory / "root.pem")]
    return ["relay", url, "--listen", "127.0.0.1:0", *identity, *more]


@pytest.mark.skipif(os.geteuid() != 0, reason="reads another process's memory")
def test_neither_its_memory_nor_its_output_holds_anything_of_what_it_carries(consortium):
    async def run() -> None:
        gateway = Gateway()
        async with serving(gateway, tls=server_context(consortium, allow=["workload"])) as behind:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "quatrefoil.cli", *arguments(consortium, behind.url)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stderr is not None
            first = await process.stderr.readline()
            listening = re.fullmatch(rb"relay relay listens on 127\.0\.0\.1:(\d+) for \S+\n", first)
            assert listening, first + await process.stderr.read()
            async with WebClient(tls=client_context(consortium)) as client:
                url = f"https://127.0.0.1:{int(listening[1])}{protocol.GATEWAY_PATH}"
                for _ in range(3):
                    sealed, response = seal_request(gateway.configuration, MARKER * 100)
                    answer = await client.request("POST", url, [WHOLE], sealed)
                    assert MARKER in open_response(response, answer.content)
                    assert gateway.opened[-1] == MARKER * 100
                # What it does see is found in this way.
                assert found_in(process.pid, {"type": b"message/ohttp-req", "content": MARKER}) == {"type"}
            process.send_signal(signal.SIGTERM)
            out, err = await asyncio.wait_for(process.communicate(), 30)
            assert (process.returncode, out) == (0, b"")
            assert err == b"stopping: what was accepted is finished\n"

    asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "https://",
        "https://a/b",
        "https://a/?b",
        "https://u@a",
        "https://a:port",
        "ftp://a",
        "a:1",
    ],
)
def test_what_is_no_server_is_refused(consortium, url, capsys):
    with pytest.raises(SystemExit) as refused:
        cli.main(arguments(consortium, url))
    assert refused.value.code == 2 and "is not https://HOST:PORT" in capsys.readouterr().err


def test_an_identity_that_clients_would_refuse_is(consortium, capsys):
    assert cli.main(arguments(consortium, "https://127.0.0.1:1", name="keeper", role="keeper")) == 1
    assert "is keeper keeper, and clients ask a workload" in capsys.readouterr().err


def test_limits_that_contradict_are_refused(consortium, capsys):
    assert cli.main(arguments(consortium, "https://127.0.0.1:1", "--requests", "2", "--per-client", "3")) == 1
    assert "are no limits" in capsys.readouterr().err

"""The independent implementations of tests/peers, asked over a pipe, and where their packages keep test vectors."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Self

CRATE = Path(__file__).parents[1] / "peers"


class PeerSays(Exception):
    """The peer has refused what it was asked."""


class Peer:
    """A program of tests/peers. Cargo builds it if it is not there, one test process at a time."""

    def __init__(self, program: str = "peer", features: str = "") -> None:
        command = ["cargo", "build", "--quiet", "--locked", "--bin", program, "--features", features]
        subprocess.run(command, cwd=CRATE, check=True)
        self._process = subprocess.Popen(
            [CRATE / "target" / "debug" / program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, command: str, kind: str, *arguments: bytes) -> bytes:
        """The answer, or ``PeerSays`` what is wrong."""
        assert self._process.stdin is not None and self._process.stdout is not None
        line = " ".join([command, kind, *(one.hex() or "-" for one in arguments)])
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        said, _, rest = self._process.stdout.readline().rstrip("\n").partition(" ")
        if said != "ok":
            raise PeerSays(rest)
        return bytes.fromhex(rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_arguments: object) -> None:
        self._process.communicate(timeout=10)


@cache
def package(name: str) -> Path:
    """Where the crate ``name`` of tests/peers/Cargo.lock has been unpacked. It is fetched, and never built for this."""
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1", "--quiet"]
    found = subprocess.run(command, cwd=CRATE, check=True, capture_output=True, text=True).stdout
    (manifest,) = (one["manifest_path"] for one in json.loads(found)["packages"] if one["name"] == name)
    return Path(manifest).parent

"""Hosts as network namespaces, joined by a bridge, with links that can be cut and healed.

Made inside a user namespace of one's own where this process is not root; ``why_not`` says why there are none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

SUBNET = "10.199.0"


@cache
def why_not() -> str:
    """Why no namespaces can be made here, or nothing."""
    if shutil.which("ip") is None:
        return "ip is not installed (Debian: iproute2)"
    if os.getuid() != 0:
        return "network namespaces need root, or a test run under `unshare --user --map-root-user --net --mount`"
    try:
        with network(["probe"]) as made:
            made.cut("probe")
            made.heal("probe")
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here ({(error.stderr or b'').decode().strip()})"
    return ""


class Network:
    """Hosts by name, each with an address. They reach each other, and nothing else."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._prefix = "q" + uuid.uuid4().hex[:6]
        self._bridge = f"{self._prefix}b"
        self._numbers = {host: number for number, host in enumerate(hosts, 2)}

    def make(self) -> None:
        # The bridge is in a namespace of its own, too: nothing of this machine's network is touched.
        _ip("netns", "add", self._bridge)
        _ip("-n", self._bridge, "link", "add", "switch", "type", "bridge")
        _ip("-n", self._bridge, "link", "set", "switch", "up")
        for host, number in self._numbers.items():
            space = self.space(host)
            _ip("netns", "add", space)
            _ip("-n", space, "link", "add", "line", "type", "veth", "peer", "name", f"h{number}", "netns", self._bridge)
            _ip("-n", space, "addr", "add", f"{self.address(host)}/24", "dev", "line")
            _ip("-n", space, "link", "set", "line", "up")
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", self._bridge, "link", "set", f"h{number}", "master", "switch")
            _ip("-n", self._bridge, "link", "set", f"h{number}", "up")

    def remove(self) -> None:
        for space in [self._bridge, *map(self.space, self._numbers)]:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)

    def space(self, host: str) -> str:
        return f"{self._prefix}h{self._numbers[host]}"

    def address(self, host: str) -> str:
        return f"{SUBNET}.{self._numbers[host]}"

    def on(self, host: str, command: Sequence[str]) -> list[str]:
        """The command, run on a host."""
        return ["ip", "netns", "exec", self.space(host), *command]

    def cut(self, *hosts: str) -> None:
        """Packets of these hosts are lost from now on, without a word to anybody."""
        for host in hosts:
            _ip("-n", self._bridge, "link", "set", f"h{self._numbers[host]}", "nomaster")

    def heal(self, *hosts: str) -> None:
        for host in hosts:
            _ip("-n", self._bridge, "link", "set", f"h{self._numbers[host]}", "master", "switch")


@contextmanager
def network(hosts: Sequence[str]) -> Iterator[Network]:
    made = Network(hosts)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)

"""A real PostgreSQL server of one's own, from the system's packages, in a folder of its own; it can be killed.

``why_not`` says why there is none. Whoever runs the tests as root runs the server as the packages' user.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

USER, DATABASE = "quatrefoil", "postgres"
SOON = 30.0


@cache
def programs() -> Path | None:
    """The folder of the newest server's programs."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    found += [Path(path).resolve().parent for path in [shutil.which("postgres")] if path]
    return max(found, key=lambda path: [int(part) for part in path.parts if part.isdigit()], default=None)


@cache
def why_not() -> str:
    """Why no server can be started here, or nothing."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"psycopg or libpq is missing ({error})"
    if programs() is None:
        return "no PostgreSQL server is installed (Debian: postgresql)"
    if os.getuid() == 0 and _as_user() is None:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


def _as_user() -> list[str] | None:
    """What runs a command as the packages' user; nothing to do for who is not root."""
    if os.getuid() != 0:
        return []
    known = subprocess.run(["id", "postgres"], capture_output=True).returncode == 0
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if known else None


class PostgresServer:
    """One server, which listens on a socket in its folder, and on no port."""

    def __init__(self, folder: Path, settings: Sequence[str] = ()) -> None:
        self.folder = folder
        self._settings = list(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, **parameters: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in {"host": str(self.folder), **parameters}.items())
        return f"postgresql://{USER}@/{DATABASE}?{query}"

    def make(self) -> None:
        options = ["--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8", "--no-locale"]
        done = self._run("initdb", "-D", str(self.folder / "data"), *options)
        assert done.returncode == 0, done.stderr

    def start(self, *settings: str) -> None:
        """Start it, again after a kill as well: what is left of the one before has to be gone first."""
        given = [part for one in (*self._settings, *settings) for part in ("-c", one)]
        base = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-h", ""]
        end = time.monotonic() + SOON
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*(_as_user() or []), str(self._program("postgres")), *base, *given],
                    stdout=log, stderr=log, start_new_session=True, cwd=self.folder,
                )  # fmt: skip
            while self._process.poll() is None:
                if self._run("pg_isready", "-q", "-h", str(self.folder)).returncode == 0:
                    return
                assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.02)
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """Every process of it at once, as a power failure would."""
        assert self._process is not None
        everybody = self._processes()
        self._signal(signal.SIGKILL)
        self._process.wait()
        end = time.monotonic() + SOON
        while any(Path("/proc", str(one)).exists() for one in everybody):
            assert time.monotonic() < end
            time.sleep(0.01)
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(SOON)
            self._process = None

    def freeze(self) -> None:
        """It goes on holding every connection, and answers none."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def sql(self, statement: str) -> str:
        """What ``psql`` says to a statement."""
        done = self._run("psql", "-XAtq", "-h", str(self.folder), "-U", USER, "-d", DATABASE, "-c", statement)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _processes(self) -> list[int]:
        """The server and its sessions, each of which is in a process group of its own."""
        assert self._process is not None
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def _signal(self, number: int) -> None:
        for one in self._processes():
            with suppress(ProcessLookupError):
                os.kill(one, number)

    def _program(self, name: str) -> Path:
        found = programs()
        assert found is not None
        return found / name

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*(_as_user() or []), str(self._program(name)), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder)


def _fast() -> Path | None:
    """Memory, where there is enough of it: a killed server has to go through all of its files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30 else None


@contextmanager
def server(*settings: str) -> Iterator[PostgresServer]:
    """A running server, in a folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=_fast()))
    folder.chmod(0o755)
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    running = PostgresServer(folder, settings)
    try:
        running.make()
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)

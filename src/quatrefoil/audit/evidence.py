"""What an auditor was given: a party's folder, or a bundle of several parties' logs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from quatrefoil.audit.archive import ArchiveReader
from quatrefoil.audit.checks.samples import Extra
from quatrefoil.audit.log import LOG_FOLDER, TRUST_FOLDER
from quatrefoil.audit.sampling.sample import LARGEST_SAMPLE
from quatrefoil.errors import CallerError, EvidenceRejected, PolicyInvalid
from quatrefoil.policy import Policy
from quatrefoil.tlog import FolderSource, Source
from quatrefoil.tlog.reader import LARGEST_FILE
from quatrefoil.tlog.tiles import CHECKPOINT
from quatrefoil.transport.identity import LIST_FILE, ROOT_FILE

README, POLICY, LOGS = "README.txt", "policy.toml", "logs"
SAMPLES, PROOFS = "samples", "proofs"
ROOTS, LISTS = f"{TRUST_FOLDER}/{ROOT_FILE}", f"{TRUST_FOLDER}/{LIST_FILE}"

MOST_LOGS = 4096

_PARTY = r"(aggregator|broker|keeper|silo|workload)-[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_INDEX = r"(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?"
_MEMBER = re.compile(
    rf"README\.txt|policy\.toml|trust/(root|crl)\.pem"
    rf"|(?P<extra>{SAMPLES}|{PROOFS})/[0-9a-f]{{64}}\.(?P<what>sample|proof)"
    rf"|logs/(?P<log>{_PARTY})/(checkpoint|owner|witnessed|payload/[0-9a-f]{{64}}|tile/([0-9]|[1-5][0-9]|6[0-3]|entries)/{_INDEX})"
)
"""Every name that a bundle can hold."""

LARGEST_PROOF = 64 << 20
_LARGEST = {PROOFS: LARGEST_PROOF, SAMPLES: LARGEST_SAMPLE}
"""Bytes of a member, where it is not one of a log."""

_ORDER = {"aggregator": 0, "keeper": 1, "broker": 2, "workload": 3, "silo": 4}


@dataclass(frozen=True)
class Evidence:
    """``logs``: by label, "" for a folder, ROLE-NAME in a bundle; aggregators first. ``roots`` and ``lists``: PEM that
    came along. ``policy``: the policy file that came along. ``bundle``: the file, where it is one; ``samples`` and
    ``proofs``: what it has of inference receipts."""

    logs: Mapping[str, Source]
    roots: bytes | None
    lists: bytes | None
    policy: bytes | None
    bundle: Bundle | None
    samples: tuple[Extra, ...] = ()
    proofs: tuple[Extra, ...] = ()

    @classmethod
    def open(cls, path: Path) -> Evidence:
        """``CallerError`` where nothing of the kind is there, ``EvidenceRejected`` for a file that is no bundle."""
        if path.is_file():
            return Bundle(path).evidence()
        source = FolderSource(log_folder(path))
        return cls({"": source}, source.read(ROOTS), source.read(LISTS), None, None)

    def close(self) -> None:
        if self.bundle is not None:
            self.bundle.close()

    def __enter__(self) -> Evidence:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def policy_or(self, given: Policy | None) -> Policy | None:
        """The policy that the auditor gave, else the one that came along; ``PolicyInvalid`` where that is none."""
        if given is not None or self.policy is None:
            return given
        try:
            return Policy.parse(self.policy.decode(), source=f"{POLICY} of the bundle")
        except UnicodeDecodeError:
            raise PolicyInvalid(f"{POLICY} of the bundle is not text", hint="Ask for the bundle again") from None


class Bundle:
    """A bundle that is open. It remembers which members were read: what nobody needs is told of."""

    def __init__(self, file: Path) -> None:
        self._archive = ArchiveReader(file)
        self._unread = set(self._archive.members)
        try:
            self._logs = self._names()
        except BaseException:
            self.close()
            raise

    def _names(self) -> list[str]:
        found = set()
        for name, member in self._archive.members.items():
            match = _MEMBER.fullmatch(name)
            if match is None:
                raise _rejected(f"holds {name!r}, which no bundle has")
            if match["extra"] is not None and match["extra"] != f"{match['what']}s":
                raise _rejected(f"holds {name!r}, which no bundle has")
            if member.size > _LARGEST.get(str(match["extra"]), LARGEST_FILE):
                raise _rejected(f"holds {name!r} with {member.size} bytes, more than any such file has")
            if match["log"]:
                found.add(match["log"])
        if not found or len(found) > MOST_LOGS:
            raise _rejected(f"holds {len(found)} logs, not 1 to {MOST_LOGS}")
        return sorted(found, key=lambda label: (_ORDER[label.partition("-")[0]], label))

    def evidence(self) -> Evidence:
        """What is damaged here is missing, and told of by :meth:`read_rest`: the logs can be checked all the same."""
        logs = {label: _LogInBundle(self, label) for label in self._logs}
        extras = {folder: self._extras(folder) for folder in (SAMPLES, PROOFS)}
        lists, policy = self._whole(LISTS), self._whole(POLICY)
        return Evidence(logs, self._whole(ROOTS), lists, policy, self, extras[SAMPLES], extras[PROOFS])

    def _extras(self, folder: str) -> tuple[Extra, ...]:
        names = [name for name in self._archive.members if name.startswith(f"{folder}/")]
        return tuple(Extra(name, partial(self._extra, name)) for name in names)

    def _extra(self, name: str) -> bytes:
        """Named by its SHA-256, so that a bundle holds nothing twice."""
        content = self.read(name) or b""
        if hashlib.sha256(content).hexdigest() != name.partition("/")[2].partition(".")[0]:
            raise _rejected(f"holds something else than {name!r} names")
        return content

    def _whole(self, name: str) -> bytes | None:
        try:
            return self.read(name)
        except EvidenceRejected:
            return None

    def read(self, name: str) -> bytes | None:
        content = self._archive.read(name)
        self._unread.discard(name)
        return content

    def read_rest(self) -> list[str]:
        """Read what nobody has read, held to its checksum: the names of what no log needs, README and what
        may be checked on its own aside."""
        rest = sorted(name for name in self._unread - {README} if not name.startswith((f"{SAMPLES}/", f"{PROOFS}/")))
        for name in sorted(self._unread):
            self.read(name)
        return rest

    @property
    def members(self) -> int:
        return len(self._archive.members)

    def close(self) -> None:
        self._archive.close()


class _LogInBundle:
    """One log as a source."""

    def __init__(self, bundle: Bundle, label: str) -> None:
        self._bundle, self._prefix = bundle, f"{LOGS}/{label}/"

    def read(self, path: str) -> bytes | None:
        return self._bundle.read(self._prefix + path)


def log_folder(given: Path) -> Path:
    """The folder of tiles in what was given."""
    for folder in (given, given / LOG_FOLDER):
        if (folder / CHECKPOINT).exists():
            return folder
    raise CallerError(f"there is no log at {given}", hint="Name a party's --state folder, or a bundle")


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"the bundle {problem}", hint="Ask for the bundle again; one made by another program is none", check="bundle"
    )

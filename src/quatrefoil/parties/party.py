"""What a party is by its files: who it is, whom it believes, what it remembers, its log."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quatrefoil import stack
from quatrefoil.audit import TileLog, log_policy
from quatrefoil.audit.dsse import Envelope, Notary
from quatrefoil.errors import CallerError, HostError, QuatrefoilError
from quatrefoil.output import report, warn
from quatrefoil.policy import Policy
from quatrefoil.services.keeping import opened_state
from quatrefoil.transport import ChannelPolicy, Identity, PostQuantumTransport, files, system_clock
from quatrefoil.transport.credentials import Credentials, CurrentTrust, FolderCredentials, Standing, require_own
from quatrefoil.transport.expiry import ends_soon
from quatrefoil.transport.identity import LIST_FILE, ROOT_FILE
from quatrefoil.transport.pins import PinnedCredentials, Pins
from quatrefoil.transport.seen_lists import SeenLists

_SIGNING = "party/certificate"
"""In the state: the certificate whose key has signed everything there."""


class Party:
    """What the files of a party hold, loaded once and checked. ``with`` closes its state and its log."""

    def __init__(
        self,
        options: argparse.Namespace,
        role: str,
        channels: ChannelPolicy,
        *,
        renewing: bool = False,
        database: str | None = None,
    ) -> None:
        """``renewing``: sign with the newest key, whatever this state has signed with before. ``database``: where the
        state is, if not in a file of its folder."""
        self.credentials = FolderCredentials(
            options.identity, options.root, clock=system_clock, on_problem=self._problem, on_change=self._changed
        )
        self.identity = self.credentials.current().identity
        if self.identity.role != role:
            raise CallerError(
                f"{options.identity} is {self.identity.role} {self.identity.name}, and the role needed is {role}",
                hint=f"Have `quatrefoil ca issue` make one with --role {role}",
            )
        self.channel_policy = channels
        files.make_private(options.state)
        self._folder: Path = options.state
        self.log = TileLog(options.state, self.identity, self.credentials.current().trust)
        try:
            self._root = options.root
            self._keep_trust()
            self._log_opened()
            self.credentials.remember_in(SeenLists(options.state / "lists"))
            self.warn()
            self.state = opened_state(options.state, database, self.identity, report=report)
        except BaseException:
            self.log.close()
            raise
        try:
            signing = self._signing(options.identity, renewing=renewing)
            self.trust = CurrentTrust(self.credentials)
            self.security = PostQuantumTransport(signing, self.trust, clock=system_clock, policy=self.channel_policy)
            self.notary = Notary(signing, self.trust, clock=system_clock)
        except BaseException:
            self.__exit__()
            raise

    def _signing(self, folder: Path, *, renewing: bool) -> Identity:
        """The identity that this state signs with: the one that it began with, since jobs name its certificate."""
        newest = self.identity
        if renewing:
            self.state.replace({_SIGNING: newest.fingerprint})
        begun = self.state.put_once(_SIGNING, newest.fingerprint)
        if begun == newest.fingerprint:
            return newest
        try:
            signing = Identity.load(folder, fingerprint=begun)
            require_own(signing, self.credentials.current().trust, system_clock())
        except HostError as error:
            raise HostError(
                f"what this state has begun was signed with certificate {begun.hex()[:16]}: {error.problem}",
                hint="Begin another job with a new --state folder (a keeper goes on with --new-key)",
            ) from None
        end = f"{signing.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        report(f"statements are signed with certificate {begun.hex()[:16]}, until {end}, as this state began with")
        return signing

    def _log_opened(self) -> None:
        """The log is there, and nothing that this start does has been written to it."""

    def pinning(self, pins: Sequence[bytes] | None) -> Credentials:
        """What to show and believe towards a peer of which ``pins`` are expected; None: whatever the root certifies."""
        return self.credentials if pins is None else PinnedCredentials(self.credentials, Pins(pins))

    def keep_provenance(self, envelope: Envelope) -> Path:
        """Write the statement about the job into the state folder; returns where."""
        file = self._folder / "provenance.json"
        files.replace(file, envelope.encode())
        return file

    def warn(self) -> None:
        """Say what ends soon: certificates, lists, roots."""
        for line in ends_soon(self.credentials.current(), at=system_clock()):
            report(f"soon: {line}")

    def _changed(self, standing: Standing) -> None:
        lists = {one.root.hex(): one.number for one in standing.trust.lists}
        self._keep_trust()
        self._note({"certificate": standing.identity.fingerprint.hex(), "lists": lists})
        shown = ", ".join(str(one.number) for one in standing.trust.lists) or "none"
        report(f"new channels show certificate {standing.identity.fingerprint.hex()[:16]}; revocation lists: {shown}")

    def _keep_trust(self) -> None:
        """Beside the log, for whoever audits it: the roots and lists that this party goes by now. The lists first:
        whoever finds roots finds their lists, even while the folder is new."""
        root, lists = self._root, self._root.with_name(LIST_FILE)
        found = ({LIST_FILE: lists} if lists.exists() else {}) | {ROOT_FILE: root}
        self.log.keep_trust({name: file.read_bytes() for name, file in found.items()})

    def _problem(self, error: QuatrefoilError) -> None:
        report(f"identity, roots or list not renewed: {error}")
        self._note({"problem": error.problem})

    def _note(self, body: dict[str, object]) -> None:
        try:
            self.log.append("credentials", body)
        except HostError as full:  # a log that takes nothing more stops no channel
            report(str(full))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()
        self.log.close()


class PartyFiles(Party):
    """A party of a job, with the policy that all of them load."""

    def __init__(self, options: argparse.Namespace, role: str, *, renewing: bool = False) -> None:
        self.policy = Policy.load(options.policy)
        super().__init__(
            options, role, stack.channel_policy_of(self.policy), renewing=renewing, database=options.database
        )

    def receipt_key(self) -> Ed25519PrivateKey | None:
        """What signs receipts beside the identity, where the policy asks for it: a key of this party's log."""
        return self.log.keys.receipts if self.policy.signs_receipts_twice else None

    def _log_opened(self) -> None:
        log_policy(self.policy, self.log)


def warn_insecure(policy: Policy, of: str = "") -> None:
    """Say which stand-ins the policy accepts: on every start, and in red. ``of``: which policy, where there are two."""
    for name in policy.accept_insecure:
        warn(f"INSECURE stand-in accepted by the {of}policy: {name}")


__all__ = ["Party", "PartyFiles", "warn_insecure"]

"""Every error that Quatrefoil raises on purpose, drawn once.

    QuatrefoilError
    ├── PeerError      another party sent something that is refused
    │   ├── ChannelRefused      no acceptable channel could be made with it
    │   ├── PeerUnreachable     no connection, or it ended or fell silent: trying again may help
    │   ├── MessageRefused      malformed, unsigned, replayed or out of place
    │   │   ├── KeyUnknown          sealed to a key that is not in force
    │   │   ├── RequestReplayed     it has been here before
    │   │   └── DateRefused         its date is missing, or outside the window
    │   ├── RequestRefused      an inference request, or the answer to one, that is malformed or over a limit
    │   ├── CiphertextRefused   wrong length, version, parameters or round
    │   ├── ProofRejected       a proof that does not verify, or a key that it is not about
    │   ├── EvidenceRejected    a log, receipt, statement or bundle that does not hold
    │   ├── RoundVoided         the key of the round is gone: nothing of it can be decrypted
    │   └── LeaseEnded          the lease of a key is over: the key was wiped here
    ├── PolicyError    what was asked is against the policy, or the policy itself is wrong
    │   ├── PolicyInvalid       the file cannot be read as a policy, workload or cost file
    │   └── PhaseUnprotected    nothing available satisfies a phase
    ├── CallerError    the code that called us passed something it must not
    │   ├── ModelRefused        the bytes of a model that cannot be served
    │   ├── UpdateRefused       NaN, infinite, beyond the clip range, or too many values
    │   ├── ParametersRefused   a parameter set that cannot be exact or secure
    │   └── CommitmentExhausted committed weights have been opened as often as hides them
    └── HostError      this machine lacks something, or its disk holds something unexpected
        ├── DependencyMissing   an extra is not installed
        ├── EngineFailed        a model did not compute on inputs that fit its signature
        ├── KeyUnavailable      a root key that cannot be used: its token is away or locked, its file not readable
        ├── StateAway           the server of durable state does not answer: trying again may help
        ├── StateTaken          another process has taken the state over: this one has to end
        └── StateCorrupt        durable state does not read back as it was written
            └── UnwrapRefused   it was altered, or wrapped under another root key

The branch says who is at fault. The message says what is wrong, and ends with what to do about it.
"""

from __future__ import annotations


class QuatrefoilError(Exception):
    """Base of the tree. ``problem`` is what is wrong, ``hint`` what to do; ``str()`` shows both in one line."""

    def __init__(self, problem: str, *, hint: str) -> None:
        self.problem = _one_line(problem)
        self.hint = _one_line(hint)
        super().__init__(f"{self.problem.rstrip('.')}. {self.hint}")

    def __reduce__(self) -> tuple[object, ...]:
        """Errors are raised in one process and shown in another; an exception alone would forget its keywords."""
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[QuatrefoilError], args: tuple[object, ...], fields: dict[str, object]) -> QuatrefoilError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


def _one_line(text: str) -> str:
    """``text`` without line breaks and what else moves a terminal's cursor: names and reasons come from peers."""
    return "".join(character if character.isprintable() else " " for character in text)


class PeerError(QuatrefoilError):
    """Another party is at fault. ``party`` is its certified name, where it is known."""

    def __init__(self, problem: str, *, hint: str, party: str | None = None) -> None:
        super().__init__(problem, hint=hint)
        self.party = party


class ChannelRefused(PeerError):
    """No acceptable channel could be made with the peer."""


class PeerUnreachable(PeerError):
    """There is no connection, or it ended between two messages, or nothing came in time. Trying again may help."""


class MessageRefused(PeerError):
    """A message is malformed, unsigned, replayed or out of place."""


class RequestRefused(PeerError):
    """An inference request or answer is refused. ``status`` is that of HTTP. No text holds anything of its content."""

    def __init__(self, problem: str, *, hint: str, status: int = 400, party: str | None = None) -> None:
        super().__init__(problem, hint=hint, party=party)
        self.status = status


class KeyUnknown(MessageRefused):
    """A request is sealed to a key that is not in force: its sender asks for the keys, and verifies them, again."""


class RequestReplayed(MessageRefused):
    """A request has been here before, and nothing is done for it twice."""


class DateRefused(MessageRefused):
    """A request has no date, or one outside the window in which replays are told from what is new."""


class CiphertextRefused(PeerError):
    """A ciphertext has the wrong length, version, parameters or round, or does not decrypt."""


class ProofRejected(PeerError):
    """A proof does not verify. ``reason`` says which check failed; nothing else may be concluded from it."""

    def __init__(self, problem: str, *, hint: str, reason: str = "", party: str | None = None) -> None:
        super().__init__(problem, hint=hint, party=party)
        self.reason = _one_line(reason or problem)


class EvidenceRejected(PeerError):
    """A log, receipt, statement or bundle does not hold. ``check`` names what was looked at, where there is a list."""

    def __init__(self, problem: str, *, hint: str, check: str = "", party: str | None = None) -> None:
        super().__init__(problem, hint=hint, party=party)
        self.check = check


class RoundVoided(PeerError):
    """The key of the round is gone; nothing encrypted under it can be decrypted any more."""


class LeaseEnded(PeerError):
    """The lease of a key is over, by its end, a refusal or a revocation: the key was wiped here."""


class PolicyError(QuatrefoilError):
    """What was asked is against the policy, or the policy itself is wrong."""


class PolicyInvalid(PolicyError):
    """A policy, workload or cost file cannot be used as written."""


class PhaseUnprotected(PolicyError):
    """Nothing available satisfies a phase of the workload."""


class CallerError(QuatrefoilError):
    """The calling code is at fault."""


class ModelRefused(CallerError):
    """The bytes of a model cannot be served: unreadable, too large, or in need of something outside themselves."""


class UpdateRefused(CallerError):
    """An update holds NaN, infinite or out-of-range values, or does not have the agreed size."""


class ParametersRefused(CallerError):
    """A parameter set cannot be exact or secure, or does not hold the roster."""


class CommitmentExhausted(CallerError):
    """Committed weights have been opened as often as they may: another opening would begin to tell them."""


class HostError(QuatrefoilError):
    """This machine lacks something, or its disk holds something unexpected."""


class DependencyMissing(HostError):
    """An optional part is not installed."""


class EngineFailed(HostError):
    """A model did not compute on inputs that fit its signature. ``status`` is that of HTTP; the reason is withheld."""

    status = 500


class StateAway(HostError):
    """The server that durable state is at does not answer now. Whether the last change was stored is not known."""


class StateTaken(HostError):
    """Another process has taken the durable state over. Nothing that this one writes counts any more: it has to end."""


class StateCorrupt(HostError):
    """Durable state does not read back as it was written."""


class UnwrapRefused(StateCorrupt):
    """What a root key is to have wrapped was altered, or wrapped under another key or for another record."""


class KeyUnavailable(HostError):
    """A root key cannot be used: its token is away, locked or without it, or its file cannot be read."""

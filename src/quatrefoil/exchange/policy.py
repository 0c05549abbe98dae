"""A serving policy: which model answers, from which code, under which keys, within which limits, and what sizes show.

One immutable value that checks itself, whoever builds it. Client and server each have the same file; its digest stands
in every receipt, so that neither can hold the other to something else. docs/serving.md explains every field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from quatrefoil import ohttp
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.configuration import FieldInvalid, check_choice, check_name, check_range
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.ohttp.batching import LARGEST_WINDOW
from quatrefoil.wire import WireObject

PADDINGS = ("none", "padme", "power-of-two")
"""The closed vocabulary of ``padding``: docs/ohttp.md says what each leaves to be seen."""

CACHES = ("request", "tenant")
"""The closed vocabulary of ``isolation.caches``: what a model computed for one request may be used again for nothing
else, or for requests of the same certified party."""

DAY_S = 86400
LARGEST_BODY = 64 << 20


@dataclass(frozen=True)
class Model(WireObject):
    """``name``: in the paths of requests. ``root``: the SHA-256 Merkle root that names its weights, 32 bytes."""

    TYPE: ClassVar[str] = "urn:quatrefoil:served-model"

    name: str
    root: bytes


@dataclass(frozen=True)
class Attestation(WireObject):
    """``life_s``: how long a client relies on evidence that it has accepted, before it asks again."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-attestation"

    appraisal: AppraisalPolicy
    life_s: int


@dataclass(frozen=True)
class Keys(WireObject):
    """``rotate_s``: a keyset is in force so long until the next is. ``overlap_s``: and so long after it is replaced."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-keys"

    rotate_s: int
    overlap_s: int


@dataclass(frozen=True)
class Limits(WireObject):
    """``concurrent``: requests computed at once. ``queued``: that wait beside them. ``seconds``: for one request from
    its first byte until its answer has begun; ``stream_seconds``: until it has ended."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-limits"

    request_bytes: int
    answer_bytes: int
    connections: int
    concurrent: int
    queued: int
    seconds: int
    stream_seconds: int


@dataclass(frozen=True)
class Padding(WireObject):
    """Of whole messages, from :data:`PADDINGS`."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-padding"

    requests: str
    answers: str


@dataclass(frozen=True)
class Stream(WireObject):
    """``window_ms``: parts of a streamed answer go out at ticks this far apart; 0: each at once. ``event_bytes``:
    events are filled up to a multiple of this; 0: not at all."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-stream"

    window_ms: int
    event_bytes: int


@dataclass(frozen=True)
class Isolation(WireObject):
    """``caches``: from :data:`CACHES`."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-isolation"

    caches: str


@dataclass(frozen=True)
class Proofs(WireObject):
    """``share``: of all receipts, the least share that is drawn and whose answers are proven; 0: none is promised."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-proofs"

    share: float


@dataclass(frozen=True)
class ServingPolicy(WireObject):
    """``PolicyInvalid`` names the field that does not fit. ``plan``: the digest of the plan that this is the serving
    of, as ``quatrefoil plan`` prints it; empty where there is none. ``proofs``: what it
    promises of them."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-policy"

    name: str
    model: Model
    attestation: Attestation
    keys: Keys
    limits: Limits
    padding: Padding
    stream: Stream
    isolation: Isolation
    plan: bytes = b""
    proofs: Proofs = Proofs(0.0)

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("model.name", self.model.name)
        if len(self.model.root) != 32:
            raise FieldInvalid("model.root", "is no SHA-256", hint="Give the root that `model inspect` prints")
        if len(self.plan) not in (0, 32):
            raise FieldInvalid("plan", "is no SHA-256", hint="Give the digest that `plan` prints")
        if self.attestation.appraisal.report_data != "required":
            raise FieldInvalid(
                "attestation.appraisal",
                "takes evidence about whatever report data: the keys could be anybody's",
                hint='Say report_data = "required" in the appraisal policy',
            )
        check_range("attestation.life_s", self.attestation.life_s, 1, 30 * DAY_S)
        check_range("keys.rotate_s", self.keys.rotate_s, 1, 30 * DAY_S)
        check_range("keys.overlap_s", self.keys.overlap_s, 1, self.keys.rotate_s)
        limits = self.limits
        check_range("limits.request_bytes", limits.request_bytes, 1, LARGEST_BODY)
        check_range("limits.answer_bytes", limits.answer_bytes, 1, LARGEST_BODY)
        check_range("limits.connections", limits.connections, 1, 65536)
        check_range("limits.concurrent", limits.concurrent, 1, 1024)
        check_range("limits.queued", limits.queued, 0, 65536)
        check_range("limits.seconds", limits.seconds, 1, 3600)
        check_range("limits.stream_seconds", limits.stream_seconds, limits.seconds, DAY_S)
        check_choice("padding.requests", self.padding.requests, PADDINGS)
        check_choice("padding.answers", self.padding.answers, PADDINGS)
        check_range("stream.window_ms", self.stream.window_ms, 0, int(1000 * LARGEST_WINDOW))
        check_range("stream.event_bytes", self.stream.event_bytes, 0, 1 << 16)
        check_choice("isolation.caches", self.isolation.caches, CACHES)
        if not 0 <= self.proofs.share <= 1:
            raise FieldInvalid(
                "proofs.share", f"is {self.proofs.share}", hint="Give a share of all receipts, above 0 and up to 1"
            )

    @property
    def request_padding(self) -> ohttp.Padding:
        return _PADDINGS[self.padding.requests]

    @property
    def answer_padding(self) -> ohttp.Padding:
        return _PADDINGS[self.padding.answers]

    @classmethod
    def _from_cbor(cls, value: Any) -> Self:
        """A policy that a peer sent and that contradicts itself is the peer's fault: ``MessageRefused``."""
        try:
            return super()._from_cbor(value)
        except PolicyInvalid as error:
            raise MessageRefused(f"ServingPolicy.{error.problem}", hint="Ask for a valid policy") from None


_PADDINGS: dict[str, ohttp.Padding] = {
    "none": ohttp.NoPadding(),
    "padme": ohttp.Padme(),
    "power-of-two": ohttp.PowerOfTwo(),
}


__all__ = [
    "CACHES",
    "PADDINGS",
    "Attestation",
    "Isolation",
    "Keys",
    "Limits",
    "Model",
    "Padding",
    "Proofs",
    "ServingPolicy",
    "Stream",
]

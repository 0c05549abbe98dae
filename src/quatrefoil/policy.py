"""What must be protected from whom, and within which limits: a policy file parsed into one immutable value.

The value checks itself when it is built, whoever builds it, so that nothing is validated twice. Its canonical bytes
(``quatrefoil.wire``) are what every silo signs before the first round of a job: two files that mean the same, in
whatever order and with whatever comments, give the same digest. docs/policy.md explains every field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from quatrefoil import configuration
from quatrefoil.configuration import (
    FieldInvalid,
    Table,
    check_choice,
    check_name,
    check_positive,
    check_range,
    shown,
    written,
)
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.wire import WireObject

THREATS: Mapping[str, str] = {
    "recorder": "Somebody records what crosses the network today and has a quantum computer tomorrow.",
    "network": "Somebody on the network reads, alters, replays, drops or injects messages, or poses as a party.",
    "curious-aggregator": "The host that adds the updates keeps to the protocol and reads all that it receives.",
    "colluding-silos": "Up to `colluding_silos` silos and the aggregator pool what they know of another's update.",
    "curious-host": "Whoever runs the machine where keys or plaintext are reads its memory and its disk.",
    "byzantine-silo": "A silo sends a malformed, oversized or poisoned update to damage the model.",
    "tampered-model": "The model that is used is not the model that its owner made or the silos agreed on.",
    "malicious-server": "The server departs from the protocol: a wrong sum, a wrong answer, a rewritten history.",
}
"""The closed vocabulary of ``threats``, one sentence each."""

PROVEN = "byzantine-silo"
"""The threat that proofs answer: whoever names it takes part in no job without them."""

BACKENDS: Mapping[str, Mapping[str, str]] = {
    "transport": {
        "pq-tls": "TLS 1.3 with post-quantum groups only, mutual ML-DSA certificates, sealed and signed messages"
    },
    "enclave": {
        "software": "an ordinary process that keeps to the keeper's rules; whoever runs its machine reads it",
        "tdx": "Intel TDX virtual machine with attestation",
        "sev-snp": "AMD SEV-SNP virtual machine with attestation",
        "sgx": "Intel SGX enclave with attestation",
        "nitro": "AWS Nitro enclave with attestation",
        "nvidia-cc": "NVIDIA GPU in confidential-computing mode with attestation",
        "tpm": "TPM 2.0 with measured boot and quotes; no isolation from the host's own memory",
    },
    "aggregation": {
        "additive-rlwe": "additive ring-LWE encryption under a fresh key per silo and round",
        "plain": "no encryption: whoever adds sees every update",
        "ckks": "homomorphic encryption over approximate numbers",
    },
    "proofs": {"bounded-update": "a zero-knowledge proof that an encrypted update keeps to the agreed bound"},
}
"""The closed vocabulary of ``[allow]``: layer -> backend -> what it is. Some do not exist yet; the plan says which."""

LAYERS = tuple(BACKENDS)

ISOLATION: Mapping[str, str] = {
    "software": "none",
    "tdx": "vm",
    "sev-snp": "vm",
    "sgx": "process",
    "nitro": "vm",
    "nvidia-cc": "none",
    "tpm": "none",
}
"""Backend of ``enclave`` -> what it can show to separate a keeper from its host. A TPM measures what was started, and a
GPU isolates what runs on it: neither keeps the host's operator from a keeper's memory."""

ISOLATING: tuple[str, ...] = tuple(name for name, isolation in ISOLATION.items() if isolation != "none")

ISOLATED_FROM = ("curious-host", "malicious-server")
"""The threats to a keeper that only its isolation answers: whoever names one takes part in no job without it."""

STAND_INS: Mapping[str, tuple[str, str]] = {
    "software-keeper": ("enclave", "software"),
    "plain-aggregation": ("aggregation", "plain"),
}
"""The closed vocabulary of ``[insecure] accept``: stand-in -> the layer and backend that it lets through."""

CHANNEL_POLICIES = ("hybrid-768", "hybrid-1024", "cnsa-2.0")
"""The closed vocabulary of ``[transport] policy``, the minimum first; docs/transport.md says what each allows."""

RECEIPTS = ("ml-dsa", "ml-dsa+ed25519")
"""The closed vocabulary of ``[audit] receipts``: how an aggregator signs what it says of contributions."""

VALUE_BITS = (12, 16, 32)
"""Signed bits to which one value of an update is rounded; each has one parameter set per aggregation backend."""

CLIP_RANGE = (2.0**-100, 2.0**100)
"""Within these bounds the error bound of an encrypted sum holds; every backend takes them."""

ON_EXCESS = ("refuse", "clip")
MOST_SILOS = 2048
LARGEST_COUNT = 1 << 40
MOST_WITNESSES = 126
"""A checkpoint holds 128 signatures at most (C2SP signed-note), and the log's own are two."""

LARGEST_ROUNDS = 1_000_000

LARGEST_NORM = 1 << 13
"""Times ``clip``: an update of which every value is at the bound has a larger norm only with over 67 million values."""

DIRECTIONS = ("last-mean",)
"""The closed vocabulary of ``update_direction``: the published mean of the round before, from the second round on."""

MOST_LAYER_NORMS = 48
"""Parts of an update with norms of their own; a proof holds 56 claims."""

LARGEST_FACTOR = 1024.0
"""Of ``update_norm_factor``: a mean of a thousandth of the norm would still lead to the whole of it."""


@dataclass(frozen=True)
class Limits(WireObject):
    """``[limits]``: numbers that every silo, the aggregator and the keeper hold each other to."""

    TYPE: ClassVar[str] = "urn:quatrefoil:policy-limits"

    minimum_silos: int
    """Fewest silos in a round that is answered; at least ``colluding_silos + 2``."""
    colluding_silos: int
    """Silos that may pool what they know with the aggregator without learning another's update."""
    largest_sample_count: int
    """Cap on the FedAvg weight of one silo."""
    clip: float
    """Every value of an update lies in [-clip, clip]."""
    value_bits: int
    """Signed bits a value is rounded to: 16 (up to 256 silos) or 32 (up to 2,048)."""
    minimum_roster_group: int
    """Silos of a job that were in exactly the same sums form a group; no sum is given that leaves a smaller one."""
    rounds: int
    """Most rounds of one job."""
    update_norm: float = math.inf
    """The Euclidean norm of no update is larger, in the units of the update; infinite when not given."""
    update_norm_factor: float = math.inf
    """With ``update_norm_floor``: the norm of a round follows the last mean, this many times as long as it; infinite,
    like the floor, when the norm of every round is ``update_norm``."""
    update_norm_floor: float = math.inf
    """The norm of a round is at least this share of the last round's."""
    update_layer_norms: tuple[float, ...] = ()
    """For each array of a model, in order: the share of the round's norm that this part of an update may have; empty
    where parts have no norms of their own."""
    update_direction: str = ""
    """From :data:`DIRECTIONS`: what an update must not point away from; "" for nothing."""

    @property
    def norm_is_adaptive(self) -> bool:
        """Whether the norm of a round follows the published means."""
        return self.update_norm_factor != math.inf

    def __post_init__(self) -> None:
        check_range("limits.colluding_silos", self.colluding_silos, 0, MOST_SILOS - 2)
        check_range("limits.minimum_silos", self.minimum_silos, 2, MOST_SILOS)
        if self.minimum_silos < self.colluding_silos + 2:
            raise FieldInvalid(
                "limits.minimum_silos",
                f"{self.minimum_silos} is under colluding_silos + 2 = {self.colluding_silos + 2}",
                hint="With one honest silo left, the sum less the others' updates is its update: require more silos",
            )
        check_range("limits.largest_sample_count", self.largest_sample_count, 1, LARGEST_COUNT)
        check_positive("limits.clip", self.clip)
        if not CLIP_RANGE[0] <= self.clip <= CLIP_RANGE[1]:
            raise FieldInvalid("limits.clip", f"is {self.clip}, outside 2^-100 to 2^100", hint="Correct the number")
        if self.value_bits not in VALUE_BITS:
            known = ", ".join(map(str, VALUE_BITS[:-1])) + f" or {VALUE_BITS[-1]}"
            raise FieldInvalid("limits.value_bits", f"is {written(self.value_bits)}, not {known}", hint=f"Use {known}")
        check_range("limits.minimum_roster_group", self.minimum_roster_group, 1, MOST_SILOS)
        if self.minimum_roster_group > self.minimum_silos:
            raise FieldInvalid(
                "limits.minimum_roster_group",
                f"{self.minimum_roster_group} is above minimum_silos = {self.minimum_silos}",
                hint="A round of the fewest silos would be refused: require more silos, or let groups be smaller",
            )
        check_range("limits.rounds", self.rounds, 1, LARGEST_ROUNDS)
        self._check_norm()
        self._check_adaptive_norm()
        self._check_layer_norms()
        if self.update_direction:
            check_choice("limits.update_direction", self.update_direction, DIRECTIONS)

    def _check_layer_norms(self) -> None:
        if len(self.update_layer_norms) > MOST_LAYER_NORMS:
            raise FieldInvalid(
                "limits.update_layer_norms",
                f"has {len(self.update_layer_norms)} shares, over {MOST_LAYER_NORMS}",
                hint="A proof holds no more claims: bound the whole update alone",
            )
        if any(not 0 < share <= 1 for share in self.update_layer_norms):
            raise FieldInvalid(
                "limits.update_layer_norms",
                f"has shares {', '.join(map(str, self.update_layer_norms))}",
                hint="Each is above 0 and at most 1: a share of update_norm",
            )

    def _check_norm(self) -> None:
        if self.update_norm == math.inf:
            return
        check_positive("limits.update_norm", self.update_norm)
        if not self.clip / LARGEST_NORM <= self.update_norm <= self.clip * LARGEST_NORM:
            raise FieldInvalid(
                "limits.update_norm",
                f"is {self.update_norm}, not within a factor of {LARGEST_NORM} of clip = {self.clip}",
                hint="Nothing is bounded by a larger norm, and a smaller one leaves less than rounding does",
            )

    def _check_adaptive_norm(self) -> None:
        given = {"update_norm_factor": self.update_norm_factor, "update_norm_floor": self.update_norm_floor}
        missing = [name for name, value in given.items() if value == math.inf]
        if len(missing) == len(given):
            return
        if missing:
            (other,) = given.keys() - set(missing)
            raise FieldInvalid(
                f"limits.{other}", f"is given without {missing[0]}", hint="Give both, or neither for a fixed norm"
            )
        if self.update_norm == math.inf:
            raise FieldInvalid(
                "limits.update_norm_factor",
                "is given without update_norm",
                hint="The first round's norm is update_norm, and no round's is larger: give it",
            )
        for name, least, most in (("update_norm_factor", 1.0, LARGEST_FACTOR), ("update_norm_floor", 0.0, 1.0)):
            if not (least <= given[name] <= most and given[name] > 0):
                above = "above 0 and at most 1" if least == 0 else f"{least:g} to {most:g}"
                raise FieldInvalid(
                    f"limits.{name}",
                    f"is {given[name]}, not {above}",
                    hint="Less of either lets attackers shrink the norm, and with it training: docs/robustness.md",
                )


@dataclass(frozen=True)
class Allow(WireObject):
    """``[allow]``: the backends that a plan may use, a sorted tuple of names for each layer, none empty."""

    TYPE: ClassVar[str] = "urn:quatrefoil:policy-allow"

    transport: tuple[str, ...]
    enclave: tuple[str, ...]
    aggregation: tuple[str, ...]
    proofs: tuple[str, ...]

    def __post_init__(self) -> None:
        for layer, known in BACKENDS.items():
            names = self.of(layer)
            _names(f"allow.{layer}", names, known)
            if not names:
                raise FieldInvalid(f"allow.{layer}", "is empty", hint=f"Name at least one of {', '.join(known)}")

    def of(self, layer: str) -> tuple[str, ...]:
        names: tuple[str, ...] = getattr(self, layer)
        return names


@dataclass(frozen=True)
class Policy(WireObject):
    """A whole policy. Building one that contradicts itself is ``PolicyInvalid`` naming the field."""

    TYPE: ClassVar[str] = "urn:quatrefoil:policy"

    name: str
    threats: tuple[str, ...]
    """What must be answered, from :data:`THREATS`; sorted."""
    on_excess: str
    """What a silo does with a value beyond ``clip``: "refuse" the round, or "clip" the value."""
    limits: Limits
    allow: Allow
    accept_insecure: tuple[str, ...]
    """``[insecure] accept``: stand-ins accepted by name, from :data:`STAND_INS`; sorted, empty for none."""
    channels: str = CHANNEL_POLICIES[0]
    """``[transport] policy``: what channels and envelopes may use at least; the minimum of the project if not given."""
    max_latency_ms: float = math.inf
    """``[workload] max_latency_ms``: no phase may be predicted to take longer for one pass; infinite when not given."""
    receipts: str = RECEIPTS[0]
    """``[audit] receipts``: with which keys the receipts of the rounds are signed; by ML-DSA alone if not given."""
    witnesses: int = 0
    """``[audit] witnesses``: silos that must cosign the aggregator's log at the end of a job; 0 when not given."""
    appraisal: bytes = b""
    """``[enclave] appraisal``: the digest, 32 bytes, of the appraisal policy that every silo holds the keeper's
    evidence to; empty where no kind of evidence is allowed but the stand-in."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        _names("threats", self.threats, THREATS)
        if not self.threats:
            raise FieldInvalid("threats", "is empty", hint=f"Name what to protect against: {', '.join(THREATS)}")
        check_choice("on_excess", self.on_excess, ON_EXCESS)
        _names("insecure.accept", self.accept_insecure, STAND_INS)
        for stand_in, (layer, backend) in STAND_INS.items():
            allowed, accepted = backend in self.allow.of(layer), stand_in in self.accept_insecure
            if allowed and not accepted:
                raise FieldInvalid(
                    f"allow.{layer}",
                    f"allows the stand-in {backend!r}, which [insecure] does not accept",
                    hint=f"Take it out, or accept {stand_in!r} knowing what it gives up: {BACKENDS[layer][backend]}",
                )
            if accepted and not allowed:
                raise FieldInvalid(
                    "insecure.accept",
                    f"accepts {stand_in!r}, but allow.{layer} does not allow {backend!r}",
                    hint="Take it out, or allow it",
                )
        for name, given in (
            ("update_layer_norms", self.limits.update_layer_norms),
            ("update_direction", self.limits.update_direction),
        ):
            if given and (PROVEN not in self.threats or self.limits.update_norm == math.inf):
                raise FieldInvalid(
                    f"limits.{name}",
                    f"is given, and threats do not name {PROVEN!r}, or there is no update_norm",
                    hint=f"Only proofs hold silos to it: name {PROVEN!r} and give update_norm",
                )
        if self.limits.norm_is_adaptive and PROVEN not in self.threats:
            raise FieldInvalid(
                "limits.update_norm_factor",
                f"is given, and threats do not name {PROVEN!r}",
                hint=f"Only proofs hold silos to a norm: name {PROVEN!r}, or give update_norm alone",
            )
        check_choice("transport.policy", self.channels, CHANNEL_POLICIES)
        check_choice("audit.receipts", self.receipts, RECEIPTS)
        self._check_witnesses()
        self._check_appraisal()
        if math.isnan(self.max_latency_ms) or self.max_latency_ms <= 0:
            raise FieldInvalid("workload.max_latency_ms", f"is {self.max_latency_ms}", hint="Give milliseconds above 0")

    def _check_witnesses(self) -> None:
        check_range("audit.witnesses", self.witnesses, 0, MOST_WITNESSES)
        if 0 < self.witnesses <= self.limits.colluding_silos:
            raise FieldInvalid(
                "audit.witnesses",
                f"{self.witnesses} is not above colluding_silos = {self.limits.colluding_silos}",
                hint="Silos that collude with the aggregator would be the whole quorum: require more, or none",
            )

    def _check_appraisal(self) -> None:
        attested = [name for name in self.allow.enclave if ("enclave", name) not in STAND_INS.values()]
        if len(self.appraisal) not in (0, 32):
            raise FieldInvalid(
                "enclave.appraisal",
                f"has {len(self.appraisal)} bytes, not 32",
                hint="Copy the digest that `quatrefoil attest policy check` prints",
            )
        if attested and not self.appraisal:
            raise FieldInvalid(
                "allow.enclave",
                f"allows {attested[0]!r}, and [enclave] names no appraisal policy to hold its evidence to",
                hint="Name one by its digest, as `quatrefoil attest policy check` prints it, or take the backend out",
            )
        if self.appraisal and not attested:
            raise FieldInvalid(
                "enclave.appraisal",
                "names an appraisal policy, and allow.enclave allows nothing that gives evidence",
                hint=f"Take it out, or allow one of {', '.join(ISOLATION)}",
            )

    @property
    def wants_isolation(self) -> bool:
        """Whether a keeper that its host can read is against this policy, whatever ``allow`` names."""
        return any(threat in self.threats for threat in ISOLATED_FROM)

    @classmethod
    def load(cls, file: Path | str) -> Self:
        """Read a policy file, or ``PolicyInvalid`` naming file, line and field."""
        return cls.parse(configuration.read_text(Path(file)), source=str(file))

    @classmethod
    def parse(cls, text: str, *, source: str) -> Self:
        """The policy in TOML ``text``; ``source`` names it in messages."""
        root = configuration.parse(text, source)
        root.expect(
            ["name", "threats", "on_excess", "limits", "allow", "insecure"],
            ["transport", "workload", "audit", "enclave"],
        )
        limits, allow, insecure = root.table("limits"), root.table("allow"), root.table("insecure")
        limits.expect([field.name for field in fields(Limits) if field.name not in _OPTIONAL], _OPTIONAL)
        allow.expect(LAYERS)
        insecure.expect(["accept"])
        channels, latency, receipts, witnesses = CHANNEL_POLICIES[0], math.inf, RECEIPTS[0], 0
        if "transport" in root:
            transport = root.table("transport")
            transport.expect(["policy"])
            channels = transport.text("policy")
        if "workload" in root:
            workload = root.table("workload")
            workload.expect(["max_latency_ms"])
            latency = workload.number("max_latency_ms")
        if "audit" in root:
            audit = root.table("audit")
            audit.expect([], ["receipts", "witnesses"])
            receipts = audit.text("receipts") if "receipts" in audit else receipts
            witnesses = audit.integer("witnesses") if "witnesses" in audit else 0
        appraisal = b""
        if "enclave" in root:
            enclave = root.table("enclave")
            enclave.expect(["appraisal"])
            with root.placing():
                appraisal = _digest("enclave.appraisal", enclave.text("appraisal"))
        with root.placing():
            return cls(
                name=root.text("name"),
                threats=root.texts("threats"),
                on_excess=root.text("on_excess"),
                limits=Limits(
                    minimum_silos=limits.integer("minimum_silos"),
                    colluding_silos=limits.integer("colluding_silos"),
                    largest_sample_count=limits.integer("largest_sample_count"),
                    clip=limits.number("clip"),
                    value_bits=limits.integer("value_bits"),
                    minimum_roster_group=limits.integer("minimum_roster_group"),
                    rounds=limits.integer("rounds"),
                    update_norm=_positive_or_infinite(limits, "update_norm"),
                    update_norm_factor=_positive_or_infinite(limits, "update_norm_factor"),
                    update_norm_floor=_positive_or_infinite(limits, "update_norm_floor"),
                    update_layer_norms=limits.numbers("update_layer_norms") if "update_layer_norms" in limits else (),
                    update_direction=limits.text("update_direction") if "update_direction" in limits else "",
                ),
                allow=Allow(*(allow.texts(layer) for layer in LAYERS)),
                accept_insecure=insecure.texts("accept"),
                channels=channels,
                max_latency_ms=latency,
                receipts=receipts,
                witnesses=witnesses,
                appraisal=appraisal,
            )

    @property
    def signs_receipts_twice(self) -> bool:
        """Whether receipts have an Ed25519 signature beside that of ML-DSA."""
        return self.receipts == "ml-dsa+ed25519"

    @classmethod
    def _from_cbor(cls, value: Any) -> Self:
        """A policy that a peer sent and that contradicts itself is the peer's fault: ``MessageRefused``."""
        try:
            return super()._from_cbor(value)
        except PolicyInvalid as error:
            raise MessageRefused(f"Policy.{error.problem}", hint="Ask the sender for a valid policy") from None


_OPTIONAL = ("update_norm", "update_norm_factor", "update_norm_floor", "update_layer_norms", "update_direction")


def _positive_or_infinite(limits: Table, key: str) -> float:
    """The number that is given, or infinity; infinity itself is not given."""
    if key not in limits:
        return math.inf
    number = limits.number(key)
    check_positive(f"limits.{key}", number)
    return number


def _digest(field: str, text: str) -> bytes:
    """32 bytes in lower-case hexadecimal."""
    if not re.fullmatch(r"[0-9a-f]{64}", text, re.ASCII):
        raise FieldInvalid(
            field,
            f"{shown(text)} is no digest of 64 hexadecimal digits",
            hint="Copy the one that `quatrefoil attest policy check` prints",
        )
    return bytes.fromhex(text)


def _names(field: str, names: tuple[str, ...], known: Mapping[str, object]) -> None:
    for name in names:
        if name not in known:
            raise FieldInvalid(field, f"{shown(name)} is unknown", hint=f"Known: {', '.join(known)}")
    if list(names) != sorted(set(names)):
        raise FieldInvalid(field, "is not sorted, or repeats a name", hint="Sort the names and name each once")


__all__ = [
    "BACKENDS",
    "ISOLATED_FROM",
    "ISOLATING",
    "ISOLATION",
    "LAYERS",
    "PROVEN",
    "RECEIPTS",
    "STAND_INS",
    "THREATS",
    "Allow",
    "Limits",
    "Policy",
]

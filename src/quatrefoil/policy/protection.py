"""A whole policy as one value that checks itself, whoever builds it, and its file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from quatrefoil import configuration
from quatrefoil.configuration import FieldInvalid, check_choice, check_name, check_positive, check_range, shown
from quatrefoil.contracts import Threshold
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.policy.authority import KEEPER, KeyAuthority, read_authority
from quatrefoil.policy.limits import Limits, read_limits
from quatrefoil.policy.vocabulary import (
    BACKENDS,
    CHANNEL_POLICIES,
    COMMITTEE,
    ISOLATED_FROM,
    ISOLATION,
    LAYERS,
    NO_ENCLAVE,
    ON_EXCESS,
    PLACES,
    PROVEN,
    PROVEN_ANSWERS,
    RECEIPTS,
    STAND_INS,
    THREATS,
    check_names,
)
from quatrefoil.wire import WireObject

MOST_WITNESSES = 126
"""A checkpoint holds 128 signatures at most (C2SP signed-note), and the log's own are two."""


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
            check_names(f"allow.{layer}", names, known)
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
    largest_accuracy_drop: float = math.inf
    """``[inference] largest_accuracy_drop``: the share of right answers that a model may lose by being quantised;
    infinite when not given, and then every command says its own."""
    proven_share: float = 0.0
    """``[inference] proven_share``: of the receipts of a served model, the least share that is drawn and whose answers
    are proven; 0 when not given, and given exactly where proofs of answers are allowed."""
    key_authority: KeyAuthority = KEEPER
    """``[key_authority]``: who learns the sum of the keys of a round; a keeper when not given."""
    place: str = PLACES[0]
    """``[tree] place``: whether a job's sum goes up to another job, as a group's; it stands alone when not given."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_names("threats", self.threats, THREATS)
        if not self.threats:
            raise FieldInvalid("threats", "is empty", hint=f"Name what to protect against: {', '.join(THREATS)}")
        check_choice("on_excess", self.on_excess, ON_EXCESS)
        check_names("insecure.accept", self.accept_insecure, STAND_INS)
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
        check_choice("tree.place", self.place, PLACES)
        self._check_witnesses()
        self._check_appraisal()
        self._check_authority()
        if math.isnan(self.max_latency_ms) or self.max_latency_ms <= 0:
            raise FieldInvalid("workload.max_latency_ms", f"is {self.max_latency_ms}", hint="Give milliseconds above 0")
        if self.largest_accuracy_drop != math.inf and not 0 <= self.largest_accuracy_drop <= 1:
            raise FieldInvalid(
                "inference.largest_accuracy_drop",
                f"is {self.largest_accuracy_drop}",
                hint="Give a share of answers, 0 to 1",
            )
        self._check_proven_share()

    def _check_proven_share(self) -> None:
        if not 0 <= self.proven_share <= 1:
            raise FieldInvalid(
                "inference.proven_share",
                f"is {self.proven_share}",
                hint="Give a share of receipts, above 0 and up to 1",
            )
        allowed = PROVEN_ANSWERS in self.allow.proofs
        if allowed and not self.proven_share:
            raise FieldInvalid(
                "allow.proofs",
                f"allows {PROVEN_ANSWERS!r}, and [inference] gives no proven_share",
                hint="Say of which share of the receipts answers are proven, as proven_share = 0.01, or take it out",
            )
        if self.proven_share and not allowed:
            raise FieldInvalid(
                "inference.proven_share",
                f"is {self.proven_share}, and allow.proofs does not allow {PROVEN_ANSWERS!r}",
                hint="Nothing else proves answers: allow it, or take the share out",
            )

    def _check_witnesses(self) -> None:
        check_range("audit.witnesses", self.witnesses, 0, MOST_WITNESSES)
        if 0 < self.witnesses <= self.limits.colluding_silos:
            raise FieldInvalid(
                "audit.witnesses",
                f"{self.witnesses} is not above colluding_silos = {self.limits.colluding_silos}",
                hint="Silos that collude with the aggregator would be the whole quorum: require more, or none",
            )

    def _check_appraisal(self) -> None:
        attested = [name for name in self.allow.enclave if ("enclave", name) not in (*STAND_INS.values(), NO_ENCLAVE)]
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

    def _check_authority(self) -> None:
        """A committee holds keys in place of an enclave, and needs proofs of what is shared."""
        appointed, allowed = self.key_authority.is_committee, COMMITTEE in self.allow.enclave
        if appointed != allowed or (appointed and len(self.allow.enclave) > 1):
            raise FieldInvalid(
                "allow.enclave",
                f"is {', '.join(self.allow.enclave)}, and the key authority is a {self.key_authority.kind}",
                hint=f'Allow "{COMMITTEE}" alone exactly where [key_authority] appoints one',
            )
        if not appointed:
            return
        if PROVEN not in self.threats or self.limits.update_norm == math.inf:
            raise FieldInvalid(
                "key_authority.kind",
                f"is a committee, and threats do not name {PROVEN!r}, or there is no update_norm",
                hint="Only proofs show that a key was shared as it should be: ask for them, or appoint a keeper",
            )
        if self.allow.aggregation != ("additive-rlwe",):
            raise FieldInvalid(
                "allow.aggregation",
                f"allows {', '.join(self.allow.aggregation)}, and the key authority is a committee",
                hint="Only keys of additive-rlwe can be shared among a committee: allow it alone, or appoint a keeper",
            )
        assert self.threshold is not None

    @property
    def threshold(self) -> Threshold | None:
        """How a round's keys are shared among the committee; None where a keeper holds them."""
        return self.key_authority.threshold(self.limits.colluding_silos)

    @property
    def wants_isolation(self) -> bool:
        """Whether a keeper that its host can read is against this policy, whatever ``allow`` names. A committee has no
        one host."""
        return not self.key_authority.is_committee and any(threat in self.threats for threat in ISOLATED_FROM)

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
            ["transport", "workload", "audit", "enclave", "inference", "key_authority", "tree"],
        )
        allow, insecure = root.table("allow"), root.table("insecure")
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
        drop, share = math.inf, 0.0
        if "inference" in root:
            inference = root.table("inference")
            inference.expect([], ["largest_accuracy_drop", "proven_share"])
            if "largest_accuracy_drop" in inference:
                drop = inference.number("largest_accuracy_drop")
            if "proven_share" in inference:
                share = inference.number("proven_share")
                with root.placing():
                    check_positive("inference.proven_share", share)
        place = PLACES[0]
        if "tree" in root:
            tree = root.table("tree")
            tree.expect(["place"])
            place = tree.text("place")
        with root.placing():
            return cls(
                name=root.text("name"),
                threats=root.texts("threats"),
                on_excess=root.text("on_excess"),
                limits=read_limits(root.table("limits")),
                allow=Allow(*(allow.texts(layer) for layer in LAYERS)),
                accept_insecure=insecure.texts("accept"),
                channels=channels,
                max_latency_ms=latency,
                receipts=receipts,
                witnesses=witnesses,
                appraisal=appraisal,
                largest_accuracy_drop=drop,
                proven_share=share,
                key_authority=read_authority(root.table("key_authority")) if "key_authority" in root else KEEPER,
                place=place,
            )

    @property
    def goes_up(self) -> bool:
        """Whether the sums of its jobs go up to another job."""
        return self.place == "group"

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


def _digest(field: str, text: str) -> bytes:
    """32 bytes in lower-case hexadecimal."""
    if not re.fullmatch(r"[0-9a-f]{64}", text, re.ASCII):
        raise FieldInvalid(
            field,
            f"{shown(text)} is no digest of 64 hexadecimal digits",
            hint="Copy the one that `quatrefoil attest policy check` prints",
        )
    return bytes.fromhex(text)


__all__ = ["MOST_WITNESSES", "Allow", "Policy"]

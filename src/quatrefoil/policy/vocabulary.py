"""The words of a policy file: threats, layers and their backends, stand-ins, keys of channels and of receipts."""

from __future__ import annotations

from collections.abc import Mapping

from quatrefoil.configuration import FieldInvalid, shown

THREATS: Mapping[str, str] = {
    "recorder": "Somebody records what crosses the network today and has a quantum computer tomorrow.",
    "network": "Somebody on the network reads, alters, replays, drops or injects messages, or poses as a party.",
    "curious-aggregator": "The host that adds the updates keeps to the protocol and reads all that it receives.",
    "colluding-silos": "Up to `colluding_silos` silos and the aggregator pool what they know of another's update.",
    "curious-host": "Whoever runs the machine where keys or plaintext are reads its memory and its disk.",
    "physical-access": (
        "Somebody opens the machine where keys or plaintext are: reads its memory bus, its chips, its keys."
    ),
    "byzantine-silo": "A silo sends a malformed, oversized or poisoned update to damage the model.",
    "tampered-model": "The model that is used is not the model that its owner made or the silos agreed on.",
    "malicious-server": "The server departs from the protocol: a wrong sum, a wrong answer, a rewritten history.",
}
"""The closed vocabulary of ``threats``, one sentence each."""

PROVEN = "byzantine-silo"
"""The threat that proofs of updates answer: whoever names it takes part in no job without them."""

PROVEN_ANSWERS = "proven-answers"
"""The backend of ``proofs`` that is about answers of served models: docs/inference-proofs.md, docs/audit-proofs.md."""

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
        "committee": "no enclave: keys are shared among silos of the job, so that no one machine holds any",
    },
    "aggregation": {
        "additive-rlwe": "additive ring-LWE encryption under a fresh key per silo and round",
        "plain": "no encryption: whoever adds sees every update",
        "ckks": "homomorphic encryption over approximate numbers",
        "bgv": "homomorphic encryption over integers, exact",
    },
    "proofs": {
        "bounded-update": "a zero-knowledge proof that an encrypted update keeps to the agreed bound",
        "proven-answers": "zero-knowledge proofs that sampled answers are what committed weights compute",
    },
}
"""The closed vocabulary of ``[allow]``: layer -> backend -> what it is. Some do not exist yet; the plan says which."""

UNCOLLECTED: Mapping[str, str] = {
    "sgx": "nothing here collects evidence inside an SGX enclave",
    "nvidia-cc": "a GPU isolates what runs on it, and not the memory of a keeper or a server beside it",
}
"""Backends of which nothing here can give evidence, whatever devices there are, and why."""

PARAMETER_SETS: Mapping[int, str] = {12: "sum-32-w12", 16: "sum-256-w16", 32: "sum-2048-w32"}
"""Value bits -> the set of ``additive-rlwe`` for them."""

CKKS_SUMS = "ckks-sum-4096"
"""The set of sums in ``ckks``: it is more exact than any number of value bits asks for."""

LAYERS = tuple(BACKENDS)

ISOLATION: Mapping[str, str] = {
    "software": "none",
    "tdx": "vm",
    "sev-snp": "vm",
    "sgx": "process",
    "nitro": "vm",
    "nvidia-cc": "none",
    "tpm": "none",
    "committee": "none",
}
"""Backend of ``enclave`` -> what it can show to separate a keeper from its host. A TPM measures what was started, and a
GPU isolates what runs on it: neither keeps the host's operator from a keeper's memory."""

COMMITTEE = "committee"
"""The backend of ``enclave`` under which nobody's machine is relied on alone: docs/committee.md."""

NO_ENCLAVE = ("enclave", COMMITTEE)
"""It gives no evidence, and is no stand-in for something that does."""

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

PLACES = ("alone", "group")
"""The closed vocabulary of ``[tree] place``: a job whose mean is its own sum's, or one whose sum goes up to another
job, where its mean comes from."""

ON_EXCESS = ("refuse", "clip")
"""The closed vocabulary of ``on_excess``: what a silo does with a value beyond the bound."""


def check_names(field: str, names: tuple[str, ...], known: Mapping[str, object]) -> None:
    """``PolicyInvalid`` unless ``names`` are sorted, each once, and each of ``known``."""
    for name in names:
        if name not in known:
            raise FieldInvalid(field, f"{shown(name)} is unknown", hint=f"Known: {', '.join(known)}")
    if list(names) != sorted(set(names)):
        raise FieldInvalid(field, "is not sorted, or repeats a name", hint="Sort the names and name each once")


__all__ = [
    "BACKENDS",
    "CHANNEL_POLICIES",
    "COMMITTEE",
    "ISOLATED_FROM",
    "ISOLATING",
    "ISOLATION",
    "LAYERS",
    "NO_ENCLAVE",
    "ON_EXCESS",
    "PLACES",
    "PROVEN",
    "PROVEN_ANSWERS",
    "RECEIPTS",
    "STAND_INS",
    "THREATS",
    "check_names",
]

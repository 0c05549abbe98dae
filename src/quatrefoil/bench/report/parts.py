"""The parts of ``quatrefoil bench all``: which command each is, in full and quickly, and beside which peers it
measures.

Repeats are chosen so that the whole takes under half an hour on two idle cores; what a part took is in its record.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from quatrefoil.errors import CallerError


@dataclass(frozen=True)
class Peer:
    """What a part measures beside us in the same run. ``distribution``: the package that has it, or "" where it is
    always there; ``name``: how the page calls it."""

    name: str
    distribution: str = ""

    def installed(self) -> str:
        """Its version, "built in", or "" where it is missing."""
        if not self.distribution:
            return "built in"
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return ""


@dataclass(frozen=True)
class Part:
    """One command with ``--json``. ``full`` and ``quick``: what follows ``quatrefoil``; ``about_s``: seconds of the
    full and of the quick one on two idle cores; ``peerless``: why there is no peer, where there is none; ``apart``: the
    package that cannot be installed beside the others, so that the part may be run by another Python, or ""."""

    name: str
    title: str
    full: str
    quick: str
    about_s: tuple[float, float]
    schema: str
    peers: tuple[Peer, ...] = ()
    peerless: str = ""
    apart: str = ""

    def arguments(self, quick: bool) -> tuple[str, ...]:
        return tuple((self.quick if quick else self.full).split())

    def about(self, quick: bool) -> float:
        return self.about_s[quick]

    def most_seconds(self, quick: bool) -> float:
        """After which it is stopped: a machine that is several times slower still gets through."""
        return 120 + 6 * self.about(quick)

    def can_run_here(self) -> bool:
        """Whether this Python has what the part needs."""
        return not self.apart or bool(Peer(self.apart, self.apart).installed())

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command itself, without options."""
        words = []
        for word in self.full.split():
            if word.startswith("-"):
                break
            words.append(word)
        return tuple(words)


TENSEAL = Peer("TenSEAL (CKKS on SEAL)", "tenseal")
FLOWER = "flwr"
CLASSICAL = Peer("classical mutual TLS 1.3 of the standard library")


PARTS: tuple[Part, ...] = (
    Part(
        "aggregation",
        "Encrypted sums",
        "bench aggregation --parameters 1000000 --silos 8",
        "bench aggregation --parameters 100000 --silos 8",
        (14, 6),
        "quatrefoil.bench-aggregation/1",
        peers=(Peer("the plain sum in numpy", "numpy"), TENSEAL),
    ),
    Part(
        "streams",
        "Encrypted sums in streams",
        "bench aggregation --stream --parameters 100000000 --silos 2",
        "bench aggregation --stream --parameters 1000000 --silos 2",
        (15, 4),
        "quatrefoil.bench-streams/1",
        peerless="TenSEAL and NVFlare hold an update whole: there is no stream to measure beside",
    ),
    Part(
        "kernel",
        "The kernel beside the machine's ceilings",
        "bench kernel",
        "bench kernel --parameters 100000",
        (8, 5),
        "quatrefoil.bench-kernel/1",
        peers=(Peer("memory copies, and AES-256-CTR of OpenSSL", "cryptography"),),
    ),
    Part(
        "proof",
        "Proofs of bounded updates",
        "bench proof",
        "bench proof --parameters 65536",
        (4, 2),
        "quatrefoil.bench-proof/1",
        peerless="no package proves norms of ring-LWE ciphertexts; the encryption and a training stand beside it",
    ),
    Part(
        "committee",
        "Keys shared among a committee",
        "bench committee --sizes",
        "bench committee --parameters 4096 --sizes",
        (35, 15),
        "quatrefoil.bench-committee/2",
        peers=(Peer("the same update with its key at a keeper"),),
    ),
    Part(
        "simulate",
        "A thousand silos",
        "simulate --silos 1000 --parameters 100000 --dropout 0.1 --liars 0.05",
        "simulate --silos 30 --parameters 1000 --dropout 0.1 --liars 0.05",
        (130, 8),
        "quatrefoil.simulate/2",
        peerless="no other system adds proven updates of so many silos; each step stands beside the others",
    ),
    Part(
        "scale",
        "What a silo and a value cost, and rounds predicted from it",
        "bench scale",
        "bench scale --quick",
        (120, 40),
        "quatrefoil.bench-scale/2",
        peerless="it multiplies our own unit costs",
    ),
    Part(
        "flower",
        "Inside Flower",
        "bench flower",
        "bench flower --silos 3 --parameters 10000",
        (60, 40),
        "quatrefoil.bench-flower/1",
        peers=(Peer("the same app with Flower's own average", FLOWER),),
        apart=FLOWER,
    ),
    Part(
        "inference-proof",
        "Proofs of a model's answers",
        "bench inference-proof --threads 2",
        "bench inference-proof --model 784-128-10 --repeats 1",
        (150, 60),
        "quatrefoil.bench-inference-proof/1",
        peers=(Peer("ONNX Runtime, without a proof", "onnxruntime"), Peer("EZKL, one inference", "ezkl")),
    ),
    Part(
        "transport",
        "Post-quantum channels",
        "bench transport --repeats 7",
        "bench transport --repeats 1",
        (45, 15),
        "quatrefoil.bench-transport/1",
        peers=(CLASSICAL,),
    ),
    Part(
        "attest",
        "Evidence, key release, sealed models",
        "bench attest",
        "bench attest --repeats 3 --model-mib 16",
        (25, 8),
        "quatrefoil.bench-attest/1",
        peers=(Peer("a plain copy of the model"),),
    ),
    Part(
        "audit",
        "The transparency log",
        "bench audit",
        "bench audit --leaves 20000",
        (75, 8),
        "quatrefoil.bench-audit/1",
        peers=(Peer("plain appends with an fsync each"),),
    ),
    Part(
        "serving",
        "A served model",
        "bench serving --seconds 15",
        "bench serving --seconds 2",
        (115, 40),
        "quatrefoil.bench-serving/1",
        peers=(Peer("the same server without the layers"), Peer("ONNX Runtime, the engine of both", "onnxruntime")),
    ),
    Part(
        "score",
        "Encrypted scoring",
        "bench score",
        "bench score --rows 500 --repeats 1",
        (140, 15),
        "quatrefoil.bench-score/1",
        peers=(Peer("numpy in the clear", "numpy"), TENSEAL),
    ),
    Part(
        "accuracy",
        "What rounding costs a model",
        "bench accuracy",
        "bench accuracy --rounds 5 --seeds 2",
        (9, 4),
        "quatrefoil.bench-accuracy/1",
        peers=(Peer("the same training with clear sums"),),
    ),
    Part(
        "byzantine",
        "Malicious silos",
        "bench byzantine",
        "bench byzantine --rounds 3 --seeds 1",
        (60, 10),
        "quatrefoil.bench-byzantine/1",
        peers=(Peer("Krum, median and trimmed mean, which see every update"),),
    ),
    Part(
        "constant-time",
        "Times and secrets",
        "bench constant-time",
        "bench constant-time --measurements 2000",
        (50, 12),
        "quatrefoil.bench-constant-time/1",
        peerless="it is a test of ours against its own control, not a race",
    ),
    Part(
        "demo",
        "Four hospitals, from end to end",
        "demo",
        "demo --splits 1",
        (115, 35),
        "quatrefoil.demo/1",
        peers=(Peer("the same training in the clear, pooled and alone", "scikit-learn"),),
    ),
    Part(
        "routing",
        "Routed against blanket",
        "bench routing",
        "bench routing --quick --repeats 1",
        (240, 60),
        "quatrefoil.bench-routing/1",
        peers=(Peer("one choice of layers for every phase"),),
    ),
    Part(
        "planner",
        "What the planner predicts, and what ran",
        "bench planner",
        "bench planner --quick --repeats 1 --seconds 5",
        (125, 50),
        "quatrefoil.bench-planner/1",
        peerless="it measures our own predictions",
    ),
)

NAMES = tuple(part.name for part in PARTS)


def chosen(names: Sequence[str]) -> tuple[Part, ...]:
    """The parts of these names, in the order of ``PARTS``; ``CallerError`` for a name that is none."""
    if unknown := sorted(set(names) - set(NAMES)):
        raise CallerError(f"there is no part {', '.join(unknown)}", hint=f"Choose among {', '.join(NAMES)}")
    return tuple(part for part in PARTS if part.name in names)


def missing_commands(parts: Sequence[Part], known: Collection[tuple[str, ...]]) -> frozenset[str]:
    """Names of parts whose command is not among ``known``, the commands of this version."""
    return frozenset(part.name for part in parts if part.command not in known)

"""``quatrefoil audit receipt`` of inference receipts: alone, in a log, with the exchange, and beside another."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import attested_keepers
import made_inferences as made
from quatrefoil import cli
from quatrefoil.attested import Attestation
from quatrefoil.audit import Event, TileLog, serving_log
from quatrefoil.audit.inference_receipts import InferenceReceipt, commit_answer, sign, verify
from quatrefoil.audit.serving_log import Served, Terms, answered, begun
from quatrefoil.cli import audit_inference_receipt
from quatrefoil.enclave.binding import Keyset
from quatrefoil.transport import CertificateAuthority, Identity, TrustAnchor, system_clock


@pytest.fixture(autouse=True, scope="module")
def roots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        attested_keepers.trusted(patch)
        patch.setattr(audit_inference_receipt, "read_relied", lambda file, _: file and attested_keepers.relied())
        yield


class Server:
    """A server that answers now, what its clients keep, and what its log says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "ca" / "root.pem"
        self.authority = authority = CertificateAuthority.create(folder / "ca", "cli-root", clock=system_clock)
        self.identity: Identity = authority.issue("ward", "workload", directory=folder / "ward")
        self.trust: TrustAnchor = authority.trust
        self.keyset = made.keyset(0, int(system_clock().timestamp()))
        self.kept: dict[str, Path] = {}

    def answer(self) -> None:
        """Three receipts, of which the log has the first two; beside each, what a client keeps."""
        with TileLog(self.folder / "state", self.identity, self.trust) as log:
            issuer = made.issuer(
                self.folder / "journal", log, lambda: datetime.now(UTC), measurement=made.measurement()
            )
            issuer.begin(self.keyset, made.key(), made.attestation(self.keyset))
            self.keep("first", issuer.issue(made.REQUEST, made.ANSWER, 200, True))
            part = commit_answer(made.SALT, 200, made.ANSWERED[:5])
            self.keep("second", issuer.issue(made.REQUEST, part, 200, False))
            issuer.flush()
            self.keep("third", issuer.issue(made.REQUEST, made.ANSWER, 200, True))
        name = self.keyset.digest().hex()[:32]
        (self.folder / f"{name}.attestation").write_bytes(made.attestation(self.keyset))
        for file, content in (("asked", made.ASKED), ("answered", made.ANSWERED), ("part", made.ANSWERED[:5])):
            (self.folder / file).write_bytes(content)

    def keep(self, name: str, encoded: bytes) -> Path:
        self.kept[name] = self.folder / f"{name}.receipt"
        self.kept[name].write_bytes(encoded)
        self.kept[name].with_suffix(".salt").write_text(made.SALT.hex() + "\n")
        return self.kept[name]

    def said(self, name: str) -> InferenceReceipt:
        return verify(self.kept[name].read_bytes(), self.keyset)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, roots: None) -> Server:
    found = Server(tmp_path_factory.mktemp("server"))
    found.answer()
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main(["audit", "receipt", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_it_shows_what_was_signed_with_what_the_client_kept(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, server.kept["first"])
    assert code == 0 and out.startswith("attested code of ward signed this receipt of a whole answer, number 0")
    for shown in (made.MODEL.hex(), "tpm.pcr0=", ".attestation", "not appraised here", "ML-DSA-44", "complete"):
        assert shown in out
    assert "an answer that broke off, number 1" in run(capsys, server.kept["second"])[1]


def test_everything_together_as_json(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        capsys,
        *(server.kept["first"], "--log", server.folder / "state", "--trust", server.root),
        *("--request", server.folder / "asked", "--path", made.PATH.decode(), "--answer", server.folder / "answered"),
        *("--appraisal", "policy.toml", "--json", "-"),
    )
    assert code == 0, err
    content = json.loads(out)
    said = content["receipt"]
    assert content["schema"] == "quatrefoil.audit-receipt/1"
    assert said["log"].startswith("entry 2 of quatrefoil/") and said["keyset_from"] == "the log"
    assert said["evidence"].startswith("accepted under quotes, ")
    assert (said["request_is"], said["answer_is"], said["complete"]) == ("asked", "answered", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["time"])
    assert said["digest"] == server.said("first").digest().hex() and said["sequence"] == 0


def test_what_was_kept_is_enough_to_appraise(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, server.kept["first"], "--appraisal", "policy.toml")
    assert code == 0 and "accepted under quotes" in out, err


def test_a_stream_that_broke_off_is_shown_as_that(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, server.kept["second"], "--answer", server.folder / "part")
    assert code == 0 and "part, which broke off there" in " ".join(out.split())
    code, _, err = run(capsys, server.kept["second"], "--answer", server.folder / "answered")
    assert code == 1 and "is about another answer" in err


def test_several_of_one_chain_agree(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *server.kept.values(), "--json", "-")
    assert code == 0 and [one["sequence"] for one in json.loads(out)["receipts"]] == [0, 1, 2]


def forged(name: str, **changes: object) -> Callable[[Server], Path]:
    def make(server: Server) -> Path:
        return server.keep(f"forged-{name}", sign(replace(server.said("first"), **changes), made.key()))  # type: ignore[arg-type]

    return make


def test_one_number_on_two_receipts_is_said_to_be_two_histories(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    other = forged("twice", answer=b"o" * 32)(server)
    code, _, err = run(capsys, server.kept["first"], other)
    assert code == 1
    assert "the issuer ward has told two histories: number 0 stands on two different receipts" in err
    assert "Keep both receipts" in err
    code, _, err = run(capsys, other, "--log", server.folder / "state", "--trust", server.root)
    assert code == 1 and "two histories" in err, "the log has the other one"


def test_a_receipt_that_the_log_lacks_is_the_proof(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Given out, and then dropped by whoever has the disk."""
    code, _, err = run(capsys, server.kept["third"], "--log", server.folder / "state", "--trust", server.root)
    assert code == 1 and "the log does not have receipt 2 of this keyset: it has 2" in err
    assert "together they prove what the log does not tell" in err


def test_a_log_that_drops_one_and_renumbers_is_contradicted(
    server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = server.said("first"), server.said("second")
    dropped = replace(second, sequence=0, previous=server.keyset.digest())
    terms = Terms(first.issuer, first.model, first.commitment, first.measurement, first.policy, first.plan)
    served = Served(server.keyset, terms, made.NONCE, serving_log.PURPOSE)
    evidence = Attestation.decode(made.attestation(server.keyset)).evidence
    events: list[Event] = [begun(served, evidence, []), answered(dropped, sign(dropped, made.key()))]
    with TileLog(tmp_path / "state", server.identity, server.trust) as log:
        log.append_all(events)
    for name in ("first", "second"):
        code, _, err = run(capsys, server.kept[name], "--log", tmp_path / "state", "--trust", server.root)
        assert code == 1 and "two histories" in err


def test_the_log_of_somebody_else_is_no_proof(
    server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hub = server.authority.issue("hub", "aggregator", directory=tmp_path / "identity")
    TileLog(tmp_path / "hub", hub, server.trust).close()
    code, _, err = run(capsys, server.kept["first"], "--log", tmp_path / "hub", "--trust", server.root)
    assert code == 1 and "no log here is of workload ward" in err


def test_a_keyset_that_the_log_does_not_know(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    other = made.keyset(1, int(system_clock().timestamp()))
    said = replace(server.said("first"), keyset=other.digest(), previous=other.digest())
    file = server.keep("elsewhere", sign(said, made.key(1)))
    code, _, err = run(capsys, file, "--log", server.folder / "state", "--trust", server.root)
    assert code == 1 and "knows nothing of the receipt's keyset" in err


REFUSED: dict[str, tuple[list[str], str]] = {
    "no keyset": (["{copy}"], "that signed it is not there"),
    "another keyset": (["{first}", "--keyset", "{other}"], "no signature of this ML-DSA-44 key"),
    "no keyset in the file": (["{first}", "--keyset", "{asked}"], "message is not well-formed CBOR"),
    "evidence is asked for and not there": (
        ["{first}", "--keyset", "{bare}", "--appraisal", "p"],
        "there is no evidence beside the keyset",
    ),
    "evidence of other code": (["{lied}", "--appraisal", "p"], "names other code than its keyset's evidence"),
    "another request": (["{first}", "--request", "{answered}", "--path", "/"], "is about another request"),
    "another path": (["{first}", "--request", "{asked}", "--path", "/other"], "is about another request"),
    "another answer": (["{first}", "--answer", "{asked}"], "is about another answer"),
    "another salt": (["{first}", "--answer", "{answered}", "--salt", "{zeros}"], "is about another answer"),
    "no salt": (["{first}", "--answer", "{answered}", "--salt", "{asked}"], "asked is no salt"),
    "a request without a path": (["{first}", "--request", "{asked}"], "a request has a path"),
    "one exchange for two receipts": (["{first}", "{second}", "--answer", "{asked}"], "are not of one exchange"),
    "an altered receipt": (["{altered}"], "no signature"),
    "a receipt of a round beside it": (["{first}", "{asked}"], "several receipts are of rounds"),
    "a receipt of a round without a root": (["{asked}"], "is signed under a root"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line(name: str, server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments, problem = REFUSED[name]
    (tmp_path / "copy.receipt").write_bytes(server.kept["first"].read_bytes())
    (tmp_path / "bare").write_bytes(server.keyset.encode())
    (tmp_path / "other").write_bytes(made.attestation(made.keyset(1)))
    (tmp_path / "zeros").write_bytes(bytes(32))
    altered = bytearray(server.kept["first"].read_bytes())
    altered[-1] ^= 1
    files = {name: str(path) for name, path in server.kept.items()} | {
        "altered": str(server.keep("altered", bytes(altered))),
        "lied": str(forged("lied", measurement="tpm.pcr0=02")(server)),
        "copy": str(tmp_path / "copy.receipt"),
    }
    files |= {name: str(tmp_path / name) for name in ("bare", "other", "zeros")}
    files |= {name: str(server.folder / name) for name in ("asked", "answered")}
    code, out, err = run(capsys, *(argument.format(**files) for argument in arguments))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert problem in err


def test_a_bare_keyset_verifies_too(server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "bare").write_bytes(server.keyset.encode())
    assert Keyset.decode((tmp_path / "bare").read_bytes()) == server.keyset
    code, out, _ = run(capsys, server.kept["first"], "--keyset", tmp_path / "bare")
    assert code == 0 and "bare" in out

"""What an operator or the maker of a sample could try, and what each try meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import made_inferences as made
from quatrefoil.attested import Attestation
from quatrefoil.audit import Event
from quatrefoil.audit.inference_receipts import InferenceReceipt, sign
from quatrefoil.audit.sampling import Sample, Terms, draw, verify
from quatrefoil.audit.serving_log import Served, ServingEnded, answered, begun, ended
from quatrefoil.audit.serving_log import Terms as Serving
from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import Checkpoint, Note, Signer, read_checkpoint
from quatrefoil.tlog.keys import LogKeys
from sampled import NAMES, SIGNED, Cosigners, quiet, serve, server, terms, witness_key

OF = made.keyset()
SERVED = Served(
    OF,
    Serving("ward", made.MODEL, made.COMMITMENT, "tpm.pcr0=01", made.POLICY, made.PLAN),
    made.NONCE,
    "quatrefoil serving",
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serve(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def note(state: Path) -> bytes:
    return Cosigners().cosigned(state)


@pytest.fixture(scope="module")
def sample(state: Path, note: bytes) -> Sample:
    return draw(server(state), note, terms(), quiet)


# -------------------------------------------------------------------------------------------- a log that lacks receipts


def chain(count: int) -> list[InferenceReceipt]:
    found = [made.receipt()]
    while len(found) < count:
        found.append(replace(found[-1], sequence=len(found), previous=found[-1].digest(), time=found[-1].time + 5))
    return found


R = chain(5)


def ending(receipts: list[InferenceReceipt], key: int | None = 0) -> Event:
    said = ServingEnded(OF.digest(), len(receipts), receipts[-1].digest(), 1)
    return ended(said, None if key is None else made.key(key), "stopped")


def events(receipts: list[InferenceReceipt], key: int = 0) -> list[Event]:
    return [answered(one, sign(one, made.key(key))) for one in receipts]


def beginning(**changes: object) -> Event:
    evidence = Attestation.decode(made.attestation(OF)).evidence
    return begun(replace(SERVED, **changes), evidence, [])  # type: ignore[arg-type]


LACKING: dict[str, tuple[Callable[[], list[Event]], str]] = {
    "one in the middle": (
        lambda: [beginning(), *events([*R[:2], *R[3:]]), ending(R)],
        "is receipt 3 of its keyset, where 2 should be",
    ),
    "one in the middle, renumbered": (
        lambda: [beginning(), *events([R[0], replace(R[2], sequence=1)]), ending(R)],
        "names another before it than the one that is there",
    ),
    "the last": (lambda: [beginning(), *events(R[:4]), ending(R)], "after 5 receipts, and 4 are there"),
    "the last, with another end": (
        lambda: [beginning(), *events(R[:4]), ending(R[:4], key=1)],
        "no signature of this ML-DSA-44 key",
    ),
    "none, and one is another key's": (
        lambda: [beginning(), *events(R, key=1), ending(R)],
        "no signature of this ML-DSA-44 key",
    ),
    "no signature": (
        lambda: [beginning(), *(answered(one, None) for one in R), ending(R)],
        "no signature covers its last 5 receipts",
    ),
    "one twice": (lambda: [beginning(), *events([R[0], R[0]]), ending(R[:1])], "is receipt 0 of its keyset, where 1"),
    "one after the end": (lambda: [beginning(), *events(R[:2]), ending(R[:2]), *events(R[2:3])], "after its end"),
    "the beginning": (lambda: events(R), "which has not begun"),
    "the keyset begins again": (
        lambda: [beginning(), *events(R), ending(R), beginning(), *events(R), ending(R)],
        "begins a keyset again",
    ),
    "the keyset is of somebody else": (
        lambda: [beginning(terms=replace(SERVED.terms, issuer="icu")), *events(R), ending(R)],
        "begins a keyset of icu",
    ),
    "the keyset itself": (lambda: [replace(beginning(), attached={}), *events(R), ending(R)], "attaches no keyset"),
    "another keyset is attached": (
        lambda: [
            replace(beginning(), attached={"keyset": made.keyset(1).encode(), "evidence": b"e"}),
            *events(R),
            ending(R),
        ],
        "names another keyset than it attaches",
    ),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_log_in_which_receipts_lack_gives_no_sample(name: str, tmp_path: Path) -> None:
    write, problem = LACKING[name]
    with made.server_log(tmp_path) as log:
        log.append_all(write())
    with pytest.raises(EvidenceRejected, match=problem) as refused:
        draw(server(tmp_path), Cosigners().cosigned(tmp_path), terms(1), quiet)
    assert refused.value.check == "inferences"


def test_the_same_log_whole_gives_one(tmp_path: Path) -> None:
    with made.server_log(tmp_path) as log:
        log.append_all([beginning(), *events(R), ending(R)])
    assert draw(server(tmp_path), Cosigners().cosigned(tmp_path), terms(5), quiet).population == 5


def test_an_end_by_the_owners_word_alone_is_told_of(tmp_path: Path) -> None:
    """The limit: the last two were cut off, and the process is said to have been killed."""
    with made.server_log(tmp_path) as log:
        log.append_all([beginning(), *events(R[:3]), ending(R[:3], key=None)])
    sample = draw(server(tmp_path), Cosigners().cosigned(tmp_path), terms(3), quiet)
    assert [one.attested for one in sample.keysets] == [False]


def test_a_keyset_that_never_ends_is_refused(tmp_path: Path) -> None:
    """Its receipts would be in no population."""
    state = serve(tmp_path)
    late = Cosigners(at=SIGNED + timedelta(days=2)).cosigned(state)
    with pytest.raises(EvidenceRejected, match="with 3 receipts is over, and the log does not end it"):
        draw(server(state), late, terms(), quiet)
    in_time = Cosigners(at=SIGNED + timedelta(days=1)).cosigned(state)
    assert draw(server(state), in_time, terms(), quiet).open[0].receipts == 3


# ------------------------------------------------------------------------------------------------ another checkpoint


def without(note: bytes, name: str) -> bytes:
    found = Note.decode(note)
    return Note(found.text, tuple(one for one in found.signatures if name not in one.name)).encode()


def moved(note: bytes, frm: str, to: str) -> bytes:
    """The signature of one witness under the name of another."""
    found = Note.decode(note)
    (signature,) = [one.signature for one in found.signatures if f"/{frm}/" in one.name]
    lines = tuple(replace(one, signature=signature) if f"/{to}/" in one.name else one for one in found.signatures)
    return Note(found.text, lines).encode()


def test_an_unwitnessed_checkpoint_is_refused(state: Path, note: bytes) -> None:
    log = server(state)
    plain = log.reader.signed.note.encode()
    for content in (plain, without(note, "/south/")):
        with pytest.raises(EvidenceRejected, match=r"has no ML-DSA-44 cosignature of quatrefoil/.*/(north|south)/"):
            draw(log, content, terms(), quiet)
    with pytest.raises(EvidenceRejected, match="does not fit the checkpoint"):
        draw(log, moved(note, "north", "south"), terms(), quiet)
    with pytest.raises(EvidenceRejected, match="before the agreed time"):
        draw(log, note, terms(not_before=SIGNED + timedelta(seconds=1)), quiet)
    assert draw(log, note, terms(not_before=SIGNED), quiet).not_before == SIGNED


def test_a_log_is_no_witness_of_itself(state: Path, note: bytes) -> None:
    log = server(state)
    _, own = log.owner.keys
    with pytest.raises(EvidenceRejected, match="is the log itself, and no witness of it"):
        draw(log, note, Terms((own,), 1), quiet)
    keys = LogKeys.load(state / "log-keys").ml_dsa_44
    disguised = Signer("quatrefoil/friend/witness", keys)
    signed = Note.decode(note)
    line = disguised.sign(Checkpoint.parse(signed.text), SIGNED)
    with pytest.raises(EvidenceRejected, match="is the log itself, and no witness of it"):
        draw(log, Note(signed.text, (*signed.signatures, line)).encode(), Terms((disguised.verifier,), 1), quiet)


def test_a_checkpoint_that_its_log_has_not_signed_is_refused(state: Path, note: bytes) -> None:
    with pytest.raises(EvidenceRejected, match="has no Ed25519 signature"):
        draw(server(state), without(note, server(state).owner.origin), terms(), quiet)


def test_a_checkpoint_of_another_history_is_refused(state: Path, tmp_path: Path) -> None:
    """The operator keeps two logs under one key."""
    (tmp_path / "other" / "state").mkdir(parents=True)
    for file in (state / "log-keys").iterdir():
        target = tmp_path / "other" / "state" / "log-keys" / file.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())
        target.chmod(file.stat().st_mode)
    (tmp_path / "other" / "state" / "log-keys").chmod(0o700)
    other = serve(tmp_path / "other", (6, 1, 11))
    note = Cosigners().cosigned(other)
    small = serve(tmp_path / "small", (1,), left_open=0)
    with pytest.raises(EvidenceRejected, match="are not the beginning of this log"):
        draw(server(state), note, terms(), quiet)
    with pytest.raises(EvidenceRejected):
        draw(server(small), note, terms(), quiet)


def test_a_log_shorter_than_its_checkpoint_is_refused(tmp_path: Path, state: Path) -> None:
    log = server(state)
    signers = LogKeys.load(state / "log-keys").signers
    longer = Checkpoint(log.owner.origin, log.size + 1, bytes(32))
    lines = [signer.sign(longer, SIGNED) for signer in (*signers, *map(witness_key, NAMES))]
    with pytest.raises(EvidenceRejected, match="and the log here"):
        draw(log, Note(longer.text(), tuple(lines)).encode(), terms(), quiet)


def test_a_log_that_was_altered_gives_no_sample(tmp_path: Path) -> None:
    state = serve(tmp_path)
    note = Cosigners().cosigned(state)
    tile = state / "log" / "tile" / "entries" / "000.p" / str(server(state).size)
    tile.write_bytes(tile.read_bytes().replace(b'"status":200', b'"status":201', 1))
    with pytest.raises(EvidenceRejected, match="is not"):
        draw(server(state), note, terms(), quiet)


# ---------------------------------------------------------------------------------------------------- another sample


def test_a_sample_of_another_checkpoint_is_refused(state: Path, sample: Sample, tmp_path: Path) -> None:
    grown = serve(tmp_path, (7,), left_open=0)
    agreed = Cosigners().cosigned(grown)
    with made.server_log(grown) as log:
        log.append("x-more", {})
    later = draw(server(grown), Cosigners().cosigned(grown), terms(), quiet)
    with pytest.raises(EvidenceRejected, match="is of another checkpoint than the one given, of"):
        verify(later.encode(), server(grown), terms(), quiet, checkpoint=agreed)
    assert verify(later.encode(), server(grown), terms(), quiet, checkpoint=None) == later
    with pytest.raises(EvidenceRejected):
        verify(sample.encode(), server(grown), terms(), quiet, checkpoint=None)


def swapped(sample: Sample) -> Sample:
    """A place for a receipt that the rule did not draw, with its true entry and digest: the operator's favourite."""
    other = next(one for one in whole if one not in sample.drawn)
    return replace(sample, drawn=(*sample.drawn[:2], other, *sample.drawn[3:]))


whole: list = []  # every receipt there is, as a sample of all has them


ALTERED: dict[str, tuple[Callable[[Sample], Sample], str]] = {
    "a receipt swapped for another": (swapped, "in place 2, and the rule draws receipt"),
    "a receipt twice": (lambda s: replace(s, drawn=(*s.drawn[:4], s.drawn[0])), "in place 4, and the rule draws"),
    "two in another order": (
        lambda s: replace(s, drawn=(s.drawn[1], s.drawn[0], *s.drawn[2:])),
        "in place 0, and the rule draws",
    ),
    "one dropped": (lambda s: replace(s, drawn=s.drawn[:4]), r"another number of receipts .*\(4 and 5\)"),
    "one more": (lambda s: replace(s, drawn=(*s.drawn, s.drawn[0])), r"another number of receipts .*\(6 and 5\)"),
    "another digest": (
        lambda s: replace(s, drawn=(replace(s.drawn[0], digest=bytes(32)), *s.drawn[1:])),
        "in place 0, and the rule draws",
    ),
    "another entry": (
        lambda s: replace(s, drawn=(replace(s.drawn[0], entry=1), *s.drawn[1:])),
        "in place 0, and the rule draws",
    ),
    "another seed": (lambda s: replace(s, seed=bytes(32)), "another seed"),
    "a keyset left out": (lambda s: replace(s, keysets=s.keysets[1:]), r"another keysets .*\(2 and 3\)"),
    "a keyset smaller": (
        lambda s: replace(s, keysets=(replace(s.keysets[0], receipts=1), *s.keysets[1:])),
        "another keysets",
    ),
    "an end that nobody signed": (
        lambda s: replace(s, keysets=(replace(s.keysets[0], attested=False), *s.keysets[1:])),
        "another keysets",
    ),
    "nothing open": (lambda s: replace(s, open=()), r"another list of keysets that have not ended"),
    "another population": (lambda s: replace(s, population=18), "another number of receipts to draw from"),
    "a challenge of its maker": (lambda s: replace(s, challenge=bytes(32)), "another challenge"),
    "an agreed time that was not": (lambda s: replace(s, not_before=SIGNED), "another agreed time"),
    "another beginning": (lambda s: replace(s, after=1), "another beginning"),
    "a witness left out": (lambda s: replace(s, witnesses=s.witnesses[:1]), "another witnesses"),
    "a cosignature left out": (
        lambda s: replace(s, checkpoint=without(s.checkpoint.encode(), "/south/").decode()),
        "has no ML-DSA-44 cosignature",
    ),
    "lines of the checkpoint in another order": (
        lambda s: replace(s, checkpoint=reordered(s.checkpoint)),
        "another checkpoint",
    ),
    "another format": (lambda s: replace(s, format="quatrefoil.audit-sample/2"), "is of the format"),
}


def reordered(checkpoint: str) -> str:
    found = Note.decode(checkpoint.encode())
    return Note(found.text, found.signatures[::-1]).encode().decode()


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_sample_is_refused(name: str, state: Path, note: bytes, sample: Sample) -> None:
    whole[:] = draw(server(state), note, terms(19), quiet).drawn
    alter, problem = ALTERED[name]
    altered = alter(sample)
    assert altered != sample
    with pytest.raises(EvidenceRejected, match=problem):
        verify(altered.encode(), server(state), terms(), quiet, checkpoint=None)


@pytest.mark.parametrize(
    "other",
    [
        terms(4),
        terms(names=["north"]),
        terms(after=1),
        terms(challenge=bytes(32)),
        terms(not_before=SIGNED),
    ],
    ids=["fewer", "one witness", "later", "challenged", "timed"],
)
def test_a_sample_of_other_terms_is_refused(state: Path, sample: Sample, other: Terms) -> None:
    """The auditor gives its own; a sample does not say by which terms it is judged."""
    with pytest.raises(EvidenceRejected):
        verify(sample.encode(), server(state), other, quiet, checkpoint=None)


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-1],
    "two line feeds": lambda data: data + b"\n",
    "spaces": lambda data: data.replace(b":", b": ", 1),
    "a name twice": lambda data: data.replace(b'{"after":0', b'{"after":0,"after":0', 1),
    "one name more": lambda data: data.replace(b'{"after":0', b'{"after":0,"also":0', 1),
    "one name less": lambda data: data.replace(b'"after":0,', b"", 1),
    "a negative number": lambda data: data.replace(b'"after":0', b'"after":-1', 1),
    "a number as text": lambda data: data.replace(b'"after":0', b'"after":"0"', 1),
    "capitals": lambda data: data.replace(b'"seed":"', b'"seed":"AB', 1),
    "not JSON": lambda data: b"sample\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_other_form_of_a_file_is_refused(name: str, sample: Sample) -> None:
    altered = FORMS[name](sample.encode())
    assert altered != sample.encode()
    with pytest.raises(EvidenceRejected):
        Sample.decode(altered)
    assert read_checkpoint(sample.checkpoint.encode(), [witness_key("north").verifier]).checkpoint.size > 0

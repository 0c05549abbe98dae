"""Signed notes and verifier keys: the example of C2SP signed-note, and forms that are refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog.notes import LARGEST_NOTE, MOST_SIGNATURES, Note, NoteSignature, VerifierKey, is_key_name

# The example of signed-note.md, https://c2sp.org/signed-note, section "Verifier keys".
KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
LINE = (
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
NOTE = f"This is an example message.\n\n{LINE}"


def refused(data: str | bytes, problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem) as raised:
        Note.decode(data.encode() if isinstance(data, str) else data)
    assert raised.value.check == "checkpoint"


def test_the_example_verifies_under_its_key() -> None:
    key, note = VerifierKey.decode(KEY), Note.decode(NOTE.encode())
    (line,) = note.signatures
    assert (key.name, key.kind, key.key_id.hex(), key.encode()) == ("example.com/foo", 1, "530d903a", KEY)
    assert key.signed(line) and note.text == "This is an example message.\n" and note.encode() == NOTE.encode()
    public = Ed25519PublicKey.from_public_bytes(key.public)
    public.verify(line.signature, note.text.encode())
    with pytest.raises(InvalidSignature):
        public.verify(line.signature, note.text.encode() + b"\n")


def test_the_text_may_hold_empty_lines_and_ends_at_the_last_one() -> None:
    note = Note.decode(f"one\n\n\ntwo\n— not a signature\n\n{LINE}{LINE}".encode())
    assert note.text == "one\n\n\ntwo\n— not a signature\n" and len(note.signatures) == 2


@pytest.mark.parametrize(
    "data, problem",
    [
        ("", "no signatures"),
        ("text\n", "no signatures"),
        ("text\n\n", "no signatures"),
        (f"text\n{LINE}", "no signatures"),
        (NOTE[:-1], "end with a newline"),
        (NOTE + "\n", "no signatures"),
        (NOTE + "x", "end with a newline"),
        (NOTE + "x\n", "is no signature"),
        (NOTE.replace("— ", "- "), "is no signature"),
        (NOTE.replace("— ", "—"), "is no signature"),
        (NOTE.replace("— ", "—  "), "is no signature"),
        (NOTE.replace("example.com/foo ", "example.com/foo  "), "is no signature"),
        (NOTE.replace("example.com/foo", "example.com+foo"), "is no signature"),
        (NOTE.replace("example.com/foo", "example.com\u00a0foo"), "is no signature"),
        (NOTE.replace("example.com/foo", "example.com\u2028foo"), "is no signature"),
        (NOTE.replace("example.com/foo ", " "), "is no signature"),
        (NOTE.replace("QM=", "QM"), "is no signature"),
        (NOTE.replace("QM=", "QN="), "is no signature"),
        (NOTE.replace("QM=", "QM= "), "is no signature"),
        (NOTE.replace("QM=", "QM=\r"), "control character"),
        (NOTE.replace("/WXs", "_WXs").replace("Z7", "-7").replace("Ztg", "Zt_"), "is no signature"),
        (f"text\n\n— name {base64.b64encode(b'1234').decode()}\n", "is no signature"),
        ("text\n\n— name\n", "is no signature"),
        ("a\ttab\n\n" + LINE, "control character"),
        ("a zero\0\n\n" + LINE, "control character"),
    ],
)
def test_a_note_of_another_form_is_refused(data: str, problem: str) -> None:
    refused(data, problem)


def test_a_note_that_is_not_text_is_refused() -> None:
    refused(b"\xff\xfe\n\n" + LINE.encode(), "not UTF-8")
    refused(b"\xed\xa0\x80\n\n" + LINE.encode(), "not UTF-8")


def test_a_note_with_too_many_signatures_or_bytes_is_refused() -> None:
    assert len(Note.decode(f"text\n\n{LINE * MOST_SIGNATURES}".encode()).signatures) == MOST_SIGNATURES
    refused(f"text\n\n{LINE * (MOST_SIGNATURES + 1)}", "over the limit of 128")
    refused("x" * LARGEST_NOTE + f"\n\n{LINE}", "over the limit of 1048576")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        KEY.replace("530d903a", "530d903b"),
        KEY.replace("530d903a", "530D903A"),
        KEY.replace("530d903a", "530d903"),
        KEY.replace("example.com/foo", "example.com/fop"),
        KEY.replace("example.com/foo", ""),
        KEY.replace("example.com/foo", "example.com foo"),
        KEY[:-1] + "l",
        KEY + "=",
        KEY + "\n",
        KEY.rpartition("+")[0] + "+",
        KEY.rpartition("+")[0] + "+AQ==",
        KEY + "+AQ==",
    ],
)
def test_a_verifier_key_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(EvidenceRejected, match="verifier key"):
        VerifierKey.decode(text)


def test_one_key_has_another_id_under_another_name_or_type() -> None:
    key = VerifierKey.decode(KEY)
    others = [VerifierKey(key.name, 4, key.public), VerifierKey("example.com/fop", 1, key.public)]
    (line,) = Note.decode(NOTE.encode()).signatures
    assert len({one.key_id for one in (key, *others)}) == 3
    assert not any(one.signed(line) for one in others)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\nb", "a\u3000b", "a\u0085b", "\u2009"])
def test_a_name_with_a_space_or_a_plus_is_none(name: str) -> None:
    assert not is_key_name(name)


names = st.text("ab/.-é—\u200b\U0001f600", min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=60)
lines = st.builds(NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))


@given(texts, st.lists(lines, min_size=1, max_size=5))
def test_a_note_reads_back_as_it_was_written(text: str, signatures: list[NoteSignature]) -> None:
    note = Note(text + "\n", tuple(signatures))
    assert Note.decode(note.encode()) == note


@given(names, st.integers(0, 255), st.binary(min_size=1, max_size=80))
def test_a_verifier_key_reads_back_as_it_was_written(name: str, kind: int, public: bytes) -> None:
    key = VerifierKey(name, kind, public)
    assert VerifierKey.decode(key.encode()) == key

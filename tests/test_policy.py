"""Policy files: what they mean, and what of it is in their digest."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from policy_text import TEXT, parse, refusal, with_line
from quatrefoil.appraisal import load
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.policy import (
    BACKENDS,
    CHANNEL_POLICIES,
    MOST_WITNESSES,
    RECEIPTS,
    STAND_INS,
    THREATS,
    Allow,
    Limits,
    Policy,
)
from quatrefoil.tlog.notes import MOST_SIGNATURES
from quatrefoil.transport.policies import POLICIES

EXAMPLES = sorted((Path(__file__).parents[1] / "examples" / "policies").glob("*.toml"))


def test_a_policy_reads_as_it_is_written() -> None:
    policy = parse(TEXT)
    assert policy.threats == ("curious-aggregator", "network", "recorder")
    assert policy.limits == Limits(3, 1, 1000, 1.5, 16, 1, 10)
    assert policy.allow == Allow(("pq-tls",), ("software",), ("additive-rlwe",), ("bounded-update",))
    assert (policy.on_excess, policy.accept_insecure, policy.max_latency_ms) == (
        "refuse",
        ("software-keeper",),
        math.inf,
    )


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_are_policies(file: Path) -> None:
    policy = Policy.load(file)
    assert policy.name == file.stem
    assert Policy.decode(policy.encode()) == policy


# ------------------------------------------------------------------------------------------------------ digest


def test_the_same_meaning_has_the_same_digest() -> None:
    other = TEXT.replace("# line 1\n", "").replace(
        '["network", "recorder", "curious-aggregator"]', '["recorder",\n  "curious-aggregator", "network"]'
    )
    head, limits, allow, insecure = re.split(r"\n(?=\[)", other)
    shuffled = "\n".join([head, insecure, allow, limits.replace("clip = 1.5", "clip = 15e-1")])
    assert shuffled != TEXT
    assert parse(shuffled).digest() == parse(TEXT).digest()
    assert len(parse(TEXT).digest()) == 32


def test_channels_have_the_minimum_unless_the_policy_names_more() -> None:
    assert parse(TEXT).channels == "hybrid-768"
    named = {name: parse(f'{TEXT}\n[transport]\npolicy = "{name}"\n') for name in CHANNEL_POLICIES}
    assert [policy.channels for policy in named.values()] == list(CHANNEL_POLICIES)
    assert named["hybrid-768"].digest() == parse(TEXT).digest()
    assert len({policy.digest() for policy in named.values()}) == len(CHANNEL_POLICIES)
    assert all(Policy.decode(policy.encode()) == policy for policy in named.values())


def test_the_vocabulary_of_channels_is_that_of_the_transport() -> None:
    assert [policy.name for policy in POLICIES] == list(CHANNEL_POLICIES)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('policy = "classical"', "transport.policy"),
        ("policy = 768", "transport.policy"),
        ("", "policy"),
        ('policy = "hybrid-768"\nminimum = 1', "minimum"),
    ],
)
def test_a_transport_table_that_names_no_policy_is_refused(table: str, expected: str) -> None:
    assert expected in refusal(f"{TEXT}\n[transport]\n{table}\n")


def test_receipts_are_signed_by_ml_dsa_alone_unless_the_policy_asks_for_both() -> None:
    assert (parse(TEXT).receipts, parse(TEXT).signs_receipts_twice) == ("ml-dsa", False)
    named = [parse(f'{TEXT}\n[audit]\nreceipts = "{name}"\n') for name in RECEIPTS]
    assert [(policy.receipts, policy.signs_receipts_twice) for policy in named] == [
        ("ml-dsa", False),
        ("ml-dsa+ed25519", True),
    ]
    assert named[0].digest() == parse(TEXT).digest() != named[1].digest()
    assert all(Policy.decode(policy.encode()) == policy for policy in named)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('receipts = "none"', "audit.receipts"),
        ('receipts = "ed25519"', "audit.receipts"),
        ("receipts = true", "audit.receipts"),
        ("receipts = []", "audit.receipts"),
        ('receipts = "ml-dsa"\nreceipt = 1', "receipt"),
    ],
)
def test_receipts_cannot_be_turned_off(table: str, expected: str) -> None:
    assert expected in refusal(f"{TEXT}\n[audit]\n{table}\n")


def test_a_job_stands_alone_unless_the_policy_says_that_it_is_a_groups() -> None:
    group = parse(f'{TEXT}\n[tree]\nplace = "group"\n')
    assert (parse(TEXT).goes_up, group.goes_up) == (False, True)
    assert parse(f'{TEXT}\n[tree]\nplace = "alone"\n').digest() == parse(TEXT).digest() != group.digest()
    assert Policy.decode(group.encode()) == group


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('place = "root"', "tree.place"),
        ("place = true", "tree.place"),
        ("", "place"),
        ('place = "group"\nupper = 1', "upper"),
    ],
)
def test_a_place_in_no_tree_is_refused(table: str, expected: str) -> None:
    assert expected in refusal(f"{TEXT}\n[tree]\n{table}\n")


def test_an_integer_and_a_float_clip_mean_the_same() -> None:
    assert parse(with_line("clip", "clip = 1")).digest() == parse(with_line("clip", "clip = 1.0")).digest()


CHANGES = [
    ("name", 'name = "other"'),
    ("threats", 'threats = ["network", "recorder"]'),
    ("on_excess", 'on_excess = "clip"'),
    ("minimum_silos", "minimum_silos = 4"),
    ("colluding_silos", "colluding_silos = 0"),
    ("largest_sample_count", "largest_sample_count = 1001"),
    ("clip", "clip = 1.5000000000000002"),
    ("value_bits", "value_bits = 32"),
    ("minimum_roster_group", "minimum_roster_group = 2"),
    ("rounds", "rounds = 11"),
    ("aggregation", 'aggregation = ["additive-rlwe", "ckks"]'),
]


@pytest.mark.parametrize(("key", "line"), CHANGES, ids=[key for key, _ in CHANGES])
def test_every_field_is_in_the_digest(key: str, line: str) -> None:
    assert parse(with_line(key, line)).digest() != parse(TEXT).digest()


DIGEST = "0123456789abcdef" * 4
ATTESTED = with_line("enclave", 'enclave = ["tpm", "software"]') + f'\n[enclave]\nappraisal = "{DIGEST}"\n'


def test_the_appraisal_policy_is_in_the_digest() -> None:
    policy = parse(ATTESTED)
    assert policy.appraisal.hex() == DIGEST and policy.allow.enclave == ("software", "tpm")
    assert Policy.decode(policy.encode()) == policy
    assert len({parse(text).digest() for text in (TEXT, ATTESTED, ATTESTED.replace("0123", "0124"))}) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (with_line("enclave", 'enclave = ["software", "tdx"]'), "allow.enclave: allows 'tdx', and [enclave] names no"),
        (TEXT + f'\n[enclave]\nappraisal = "{DIGEST}"\n', "enclave.appraisal: names an appraisal policy, and"),
        (ATTESTED.replace(DIGEST, DIGEST[1:]), "enclave.appraisal: '123456789abcdef"),
        (ATTESTED.replace(DIGEST, DIGEST.upper()), "enclave.appraisal: '0123456789ABCDEF"),
        (ATTESTED.replace(DIGEST, "tpm.toml"), "enclave.appraisal: 'tpm.toml' is no digest"),
        (ATTESTED.replace(DIGEST, ""), "enclave.appraisal: '' is no digest"),
        (ATTESTED.replace("appraisal =", "policy ="), "enclave.policy: is not a known key"),
        (ATTESTED + "collateral = 1\n", "enclave.collateral: is not a known key"),
    ],
)
def test_an_appraisal_policy_that_is_missing_or_names_nothing(text: str, expected: str) -> None:
    assert expected in refusal(text)


@pytest.mark.parametrize("named", [b"", b"x" * 31, b"x" * 33])
def test_a_peers_policy_without_the_appraisal_policy_that_it_needs(named: bytes) -> None:
    policy = parse(ATTESTED)
    forged = policy.encode().replace(b"\x58\x20" + policy.appraisal, bytes([0x58, len(named)]) + named)
    with pytest.raises(MessageRefused):
        Policy.decode(forged)


@pytest.mark.parametrize("threat", sorted(THREATS))
def test_whoever_names_a_threat_that_only_isolation_answers_wants_isolation(threat: str) -> None:
    policy = parse(with_line("threats", f'threats = ["{threat}"]'))
    assert policy.wants_isolation == (threat in ("curious-host", "malicious-server"))


def test_the_examples_name_the_appraisal_policies_beside_them() -> None:
    named = {Policy.load(file).appraisal for file in EXAMPLES} - {b""}
    there = {load(file).digest() for file in (EXAMPLES[0].parents[1] / "appraisal").glob("*.toml")}
    assert named and named <= there, "put the digests that `quatrefoil attest policy check` prints into them"
    page = (EXAMPLES[0].parents[2] / "docs" / "policy.md").read_text()
    assert {digest.hex() for digest in named} == set(re.findall(r'^    appraisal = "(.*)"$', page, re.M))


def test_the_latency_limit_is_in_the_digest() -> None:
    limited = parse(TEXT + "\n[workload]\nmax_latency_ms = 100\n")
    assert limited.max_latency_ms == 100.0
    assert limited.digest() != parse(TEXT).digest()


def test_the_witnesses_are_in_the_digest_and_none_are_asked_for_where_none_are_named() -> None:
    two = parse(TEXT + "\n[audit]\nwitnesses = 2\n")
    assert (two.witnesses, parse(TEXT).witnesses) == (2, 0)
    assert two.digest() != parse(TEXT).digest()
    for none in ("[audit]\n", "[audit]\nwitnesses = 0\n"):
        assert parse(f"{TEXT}\n{none}").digest() == parse(TEXT).digest()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("witnesses = 1", "audit.witnesses: 1 is not above colluding_silos = 1"),
        ("witnesses = -1", "audit.witnesses: is -1, outside 0 to 126"),
        ("witnesses = 127", "audit.witnesses: is 127, outside 0 to 126"),
        ("witnesses = 2.0", "audit.witnesses: is a float, not an integer"),
        ("witnesses = true", "audit.witnesses: is a boolean, not an integer"),
        ('witnesses = ["a"]', "audit.witnesses: is a list, not an integer"),
        ("witness = 2", "audit.witness: is not a known key. Did you mean 'witnesses'?"),
    ],
)
def test_witnesses_that_cannot_be_are_refused(line: str, expected: str) -> None:
    assert expected in refusal(f"{TEXT}\n[audit]\n{line}\n")


def test_a_note_has_room_for_the_witnesses_and_the_log() -> None:
    assert MOST_WITNESSES + 2 == MOST_SIGNATURES


def test_accepting_a_stand_in_is_in_the_digest() -> None:
    plain = TEXT.replace('"additive-rlwe"', '"additive-rlwe", "plain"').replace(
        '["software-keeper"]', '["software-keeper", "plain-aggregation"]'
    )
    assert parse(plain).digest() != parse(TEXT).digest()


# ---------------------------------------------------------------------------------------------- from the wire


def test_a_policy_that_a_peer_sent_is_checked_as_strictly() -> None:
    good = parse(TEXT)
    bad = object.__new__(Policy)
    for name, value in vars(good).items():
        object.__setattr__(bad, name, value)
    object.__setattr__(bad, "threats", ())
    with pytest.raises(MessageRefused, match="threats: is empty"):
        Policy.decode(bad.encode())
    object.__setattr__(bad, "threats", ("recorder", "network"))
    with pytest.raises(MessageRefused, match="not sorted"):
        Policy.decode(bad.encode())
    object.__setattr__(bad, "threats", good.threats)
    object.__setattr__(bad, "max_latency_ms", math.nan)
    with pytest.raises(MessageRefused, match="max_latency_ms"):
        Policy.decode(bad.encode())


def test_a_policy_built_in_python_is_checked_as_strictly() -> None:
    with pytest.raises(PolicyInvalid, match="under colluding_silos"):
        Limits(2, 1, 1000, 1.0, 16, 1, 10)
    with pytest.raises(PolicyInvalid, match="is empty"):
        Allow((), ("software",), ("plain",), ("bounded-update",))


def test_stand_ins_are_backends_and_threats_have_a_sentence() -> None:
    assert all(backend in BACKENDS[layer] for layer, backend in STAND_INS.values())
    assert all(sentence.endswith(".") and sentence.count(".") == 1 for sentence in THREATS.values())

"""Policy files: what they mean, and every way in which one is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

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

TEXT = """\
# line 1
name = "test"
threats = ["network", "recorder", "curious-aggregator"]
on_excess = "refuse"

[limits]
minimum_silos = 3
colluding_silos = 1
largest_sample_count = 1000
clip = 1.5
value_bits = 16
minimum_roster_group = 1
rounds = 10

[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]

[insecure]
accept = ["software-keeper"]
"""


def parse(text: str) -> Policy:
    return Policy.parse(text, source="p.toml")


def refusal(text: str) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


def with_line(key: str, line: str) -> str:
    changed, count = re.subn(rf"^{key} = .*$", lambda _: line, TEXT, flags=re.M)
    assert count == 1
    return changed


def line_of(text: str, beginning: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if line.startswith(beginning))


def test_a_norm_is_optional_and_part_of_the_digest() -> None:
    bounded = parse(TEXT.replace("clip = 1.5", "clip = 1.5\nupdate_norm = 2"))
    assert bounded.limits.update_norm == 2.0 and parse(TEXT).limits.update_norm == math.inf
    assert bounded.digest() != parse(TEXT).digest()


PROVEN = TEXT.replace('"recorder", ', '"recorder", "byzantine-silo", ')


RULE = "update_norm = 2\nupdate_norm_factor = {}\nupdate_norm_floor = {}"


def with_rule(rule: str, text: str = PROVEN) -> str:
    return text.replace("clip = 1.5", f"clip = 1.5\n{rule}")


def test_a_norm_that_follows_the_means_is_optional_and_part_of_the_digest() -> None:
    fixed = parse(with_rule("update_norm = 2"))
    rules = [
        parse(with_rule(RULE.format(factor, floor)))
        for factor, floor in ((3, 0.9), (3.5, 0.9), (3, 0.8), (1, 1), (1024, 1e-9))
    ]
    assert not fixed.limits.norm_is_adaptive and all(rule.limits.norm_is_adaptive for rule in rules)
    assert (rules[0].limits.update_norm_factor, rules[0].limits.update_norm_floor) == (3.0, 0.9)
    assert len({policy.digest() for policy in (fixed, *rules)}) == 6
    assert all(Policy.decode(policy.encode()) == policy for policy in rules)


RULES_REFUSED = {
    "a factor alone": ("update_norm = 2\nupdate_norm_factor = 3", "factor: is given without update_norm_floor"),
    "a floor alone": ("update_norm = 2\nupdate_norm_floor = 0.9", "floor: is given without update_norm_factor"),
    "no norm": ("update_norm_floor = 0.9\nupdate_norm_factor = 3", "factor: is given without update_norm"),
    "a factor under 1": (RULE.format("0.99", "0.9"), "factor: is 0.99, not 1 to 1024"),
    "a factor that follows nothing": (RULE.format("1025", "0.9"), "factor: is 1025.0, not 1 to 1024"),
    "a factor of zero": (RULE.format("0", "0.9"), "factor: is 0.0, not a finite number above 0"),
    "an infinite factor": (RULE.format("inf", "0.9"), "factor: is inf, not a finite number"),
    "an infinite rule": (RULE.format("inf", "inf"), "factor: is inf, not a finite number"),
    "a factor that is no number": (RULE.format("nan", "0.9"), "factor: is nan, not a finite number"),
    "a factor that is text": (RULE.format('"3"', "0.9"), "factor: is a string, not a number"),
    "no floor": (RULE.format("3", "0.0"), "floor: is 0.0, not a finite number above 0"),
    "a negative floor": (RULE.format("3", "-0.5"), "floor: is -0.5, not a finite number above 0"),
    "a floor over 1": (RULE.format("3", "1.01"), "floor: is 1.01, not above 0 and at most 1"),
    "an infinite floor": (RULE.format("3", "inf"), "floor: is inf, not a finite number"),
    "a boolean floor": (RULE.format("3", "true"), "floor: is a boolean, not a number"),
}


@pytest.mark.parametrize("case", RULES_REFUSED)
def test_a_rule_that_bounds_nothing_is_refused_with_its_line(case: str) -> None:
    rule, expected = RULES_REFUSED[case]
    text = with_rule(rule)
    field = f"update_norm_{expected.partition(':')[0]}"
    assert refusal(text).startswith(f"p.toml:{line_of(text, field)}: limits.update_norm_{expected}")


def test_a_misspelt_rule_is_refused() -> None:
    assert "Did you mean 'update_norm_floor'?" in refusal(with_rule("update_norm = 2\nupdate_norm_flor = 0.9"))


def test_a_rule_without_proofs_is_refused() -> None:
    """Silos would be asked to keep to a norm that nobody checks."""
    rule = RULE.format(3, 0.9)
    assert "limits.update_norm_factor: is given, and threats do not name 'byzantine-silo'" in refusal(
        with_rule(rule, TEXT)
    )


@pytest.mark.parametrize("changes", [{"update_norm_floor": math.inf}, {"update_norm_factor": math.nan}])
def test_a_rule_from_a_peer_is_held_to_the_same(changes: dict[str, float]) -> None:
    with pytest.raises(PolicyInvalid, match=r"limits\.update_norm_factor"):
        Limits(
            3,
            1,
            1000,
            1.5,
            16,
            1,
            10,
            **({"update_norm": 2.0, "update_norm_factor": 3, "update_norm_floor": 0.9} | changes),
        )


def test_norms_of_arrays_and_a_direction_are_optional_and_part_of_the_digest() -> None:
    plain = parse(with_rule("update_norm = 2"))
    given = [
        parse(with_rule(f"update_norm = 2\n{rule}"))
        for rule in (
            "update_layer_norms = [1, 0.5]",
            "update_layer_norms = [0.5, 1]",
            'update_direction = "last-mean"',
            'update_layer_norms = [1]\nupdate_direction = "last-mean"',
        )
    ]
    assert (plain.limits.update_layer_norms, plain.limits.update_direction) == ((), "")
    assert given[0].limits.update_layer_norms == (1.0, 0.5) and given[2].limits.update_direction == "last-mean"
    assert len({policy.digest() for policy in (plain, *given)}) == 5
    assert all(Policy.decode(policy.encode()) == policy for policy in given)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("update_layer_norms = [1, 0]", "update_layer_norms: has shares 1.0, 0.0"),
        ("update_layer_norms = [1.5]", "update_layer_norms: has shares 1.5"),
        ("update_layer_norms = [nan]", "update_layer_norms: has shares nan"),
        ("update_layer_norms = [-0.1]", "update_layer_norms: has shares -0.1"),
        ('update_layer_norms = ["1"]', "update_layer_norms: is a string, not a list of numbers at position 1"),
        ("update_layer_norms = [true]", "update_layer_norms: is a boolean, not a list of numbers at position 1"),
        ("update_layer_norms = 1", "update_layer_norms: is an integer, not a list of numbers"),
        (f"update_layer_norms = {[1] * 49}", "update_layer_norms: has 49 shares, over 48"),
        ('update_direction = "forwards"', "update_direction: "),
        ("update_direction = 1", "update_direction: is an integer, not a string"),
    ],
)
def test_norms_and_directions_that_are_none_are_refused_with_their_line(rule: str, expected: str) -> None:
    text = with_rule(f"update_norm = 2\n{rule}")
    assert refusal(text).startswith(f"p.toml:{line_of(text, rule.partition(' ')[0])}: limits.{expected}")


@pytest.mark.parametrize("rule", ["update_layer_norms = [1]", 'update_direction = "last-mean"'])
def test_norms_and_directions_that_nobody_proves_are_refused(rule: str) -> None:
    name = rule.partition(" ")[0]
    for text in (with_rule(f"update_norm = 2\n{rule}", TEXT), with_rule(rule)):
        assert f"limits.{name}: is given, and threats do not name 'byzantine-silo', or there is no" in refusal(text)


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


# --------------------------------------------------------------------------------------------------- refusals

KEYS = re.findall(r"^(\w+) =", TEXT, flags=re.M)


@pytest.mark.parametrize("key", KEYS)
def test_no_field_has_a_default(key: str) -> None:
    missing = re.sub(rf"^{key} = .*\n", "", TEXT, flags=re.M)
    message = refusal(missing)
    assert re.match(r"p\.toml:\d+: ", message) and f"{key}: is missing" in message


@pytest.mark.parametrize("section", ["limits", "allow", "insecure"])
def test_no_section_has_a_default(section: str) -> None:
    assert f"{section}: is missing" in refusal(re.sub(rf"\[{section}\]\n(\w.*\n)*", "", TEXT))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["true", "1979-05-27", "{ a = 1 }", "[[1]]", "[true]", "nan", '"\\u0000"'])
def test_a_value_of_the_wrong_kind_names_its_line_and_field(key: str, value: str) -> None:
    text = with_line(key, f"{key} = {value}")
    message = refusal(text)
    assert message.startswith(f"p.toml:{line_of(text, key + ' =')}: ")
    assert key in message


REFUSED = {
    "an unknown key": ("rounds", "rounds = 10\nround = 3", "limits.round: is not a known key. Did you mean 'rounds'?"),
    "a threat that is unknown": ("threats", 'threats = ["aliens"]', "threats: 'aliens' is unknown"),
    "no threat": ("threats", "threats = []", "threats: is empty"),
    "a threat twice": ("threats", 'threats = ["network", "network"]', "threats: names 'network' twice"),
    "a name with a space": ("name", 'name = "a b"', "name: 'a b' is not a name"),
    "a name that is a path": ("name", 'name = "../x"', "name: '../x' is not a name"),
    "a name with a terminal escape": ("name", 'name = "\\u001b[31m"', r"name: '\x1b[31m' is not a name"),
    "too few silos for the collusion": ("minimum_silos", "minimum_silos = 2", "2 is under colluding_silos + 2 = 3"),
    "one silo": ("minimum_silos", "minimum_silos = 1", "limits.minimum_silos: is 1, outside 2 to 2048"),
    "negative collusion": ("colluding_silos", "colluding_silos = -1", "limits.colluding_silos: is -1, outside 0 to"),
    "a count of zero": ("largest_sample_count", "largest_sample_count = 0", "largest_sample_count: is 0, outside 1"),
    "a width that Python does not write out": ("value_bits", "value_bits = 0x" + "f" * 5000, "value_bits: is huge"),
    "a huge count": ("largest_sample_count", f"largest_sample_count = {10**30}", "largest_sample_count: is huge"),
    "a boolean for an integer": ("rounds", "rounds = true", "limits.rounds: is a boolean, not an integer"),
    "a float for an integer": ("rounds", "rounds = 1.0", "limits.rounds: is a float, not an integer"),
    "a boolean for a number": ("clip", "clip = false", "limits.clip: is a boolean, not a number"),
    "a clip of zero": ("clip", "clip = 0", "limits.clip: is 0.0, not a finite number above 0"),
    "a negative clip": ("clip", "clip = -1.0", "limits.clip: is -1.0, not a finite number"),
    "a clip too small for the error bound": ("clip", "clip = 1e-40", "limits.clip: is 1e-40, outside 2^-100 to 2^100"),
    "a clip too large for the error bound": ("clip", "clip = 1e300", "limits.clip: is 1e+300, outside 2^-100"),
    "an infinite clip": ("clip", "clip = inf", "limits.clip: is inf, not a finite number"),
    "a clip that is no number": ("clip", "clip = nan", "limits.clip: is nan, not a finite number"),
    "a clip beyond floats": ("clip", f"clip = {'9' * 400}", "limits.clip: is too large for a number"),
    "a norm of zero": ("clip", "clip = 1.5\nupdate_norm = 0", "limits.update_norm: is 0.0, not a finite number"),
    "an infinite norm": ("clip", "clip = 1.5\nupdate_norm = inf", "limits.update_norm: is inf, not a finite number"),
    "a norm that is no number": ("clip", "clip = 1.5\nupdate_norm = nan", "limits.update_norm: is nan, not a finite"),
    "a norm that is text": ("clip", 'clip = 1.5\nupdate_norm = "1"', "limits.update_norm: is a string, not a number"),
    "a norm that bounds nothing": (
        "clip", "clip = 1.5\nupdate_norm = 12289", "limits.update_norm: is 12289.0, not within a factor of 8192",
    ),
    "a norm that leaves nothing": (
        "clip", "clip = 1.5\nupdate_norm = 1e-4", "limits.update_norm: is 0.0001, not within a factor of 8192 of clip",
    ),
    "eight bits": ("value_bits", "value_bits = 8", "limits.value_bits: is 8, not 12, 16 or 32"),
    "groups of nobody": ("minimum_roster_group", "minimum_roster_group = 0", "is 0, outside 1"),
    "groups larger than the smallest round": (
        "minimum_roster_group", "minimum_roster_group = 4", "limits.minimum_roster_group: 4 is above minimum_silos = 3",
    ),
    "no rounds": ("rounds", "rounds = 0", "limits.rounds: is 0, outside 1"),
    "an unknown excess": ("on_excess", 'on_excess = "ignore"', "on_excess: 'ignore' is not 'refuse' or 'clip'"),
    "an unknown backend": ("transport", 'transport = ["tls"]', "allow.transport: 'tls' is unknown. Known: pq-tls"),
    "a layer with nothing allowed": ("proofs", "proofs = []", "allow.proofs: is empty"),
    "a string for a list": ("proofs", 'proofs = "bounded-update"', "allow.proofs: is a string, not a list of strings"),
    "a stand-in that is not accepted": ("accept", "accept = []", "allow.enclave: allows the stand-in 'software'"),
    "a stand-in that is unknown": ("accept", 'accept = ["all"]', "insecure.accept: 'all' is unknown"),
    "a stand-in that is not allowed": (
        "accept",
        'accept = ["plain-aggregation", "software-keeper"]',
        "insecure.accept: accepts 'plain-aggregation', but allow.aggregation does not allow 'plain'",
    ),
    "a plain sum that is not accepted": (
        "aggregation",
        'aggregation = ["plain"]',
        "allow.aggregation: allows the stand-in 'plain', which [insecure] does not accept",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(case: str) -> None:
    key, line, expected = REFUSED[case]
    assert expected in refusal(with_line(key, line))


def test_the_line_is_that_of_the_field_not_of_a_lookalike() -> None:
    text = TEXT.replace("# line 1", 'odd = """\nclip = 3\n[limits]\n"""').replace(
        "clip = 1.5", "  clip = -1 # clip = 2"
    )
    text = text.replace('odd = """', '"odd" = """', 1)
    assert refusal(text).startswith("p.toml:1: odd: is not a known key")
    text = TEXT.replace('name = "test"', 'name = """\\\n  test"""').replace("clip = 1.5", "  clip = -1 # clip = 2")
    assert refusal(text).startswith(f"p.toml:{line_of(text, '  clip')}: limits.clip: ")


def test_lines_are_found_in_inline_tables_and_dotted_keys() -> None:
    inline = re.sub(r"\[insecure\]\naccept = .*", "", TEXT).replace(
        "on_excess", "insecure = { accept = [3] }\non_excess"
    )
    assert refusal(inline).startswith("p.toml:4: insecure.accept: is an integer, not a list of strings at position 1")
    dotted = re.sub(r"\[insecure\]\naccept = .*", "", TEXT).replace("on_excess", "insecure.accept = 3\non_excess")
    assert refusal(dotted).startswith("p.toml:4: insecure.accept: is an integer")


@pytest.mark.parametrize("latency", ["0", "-5", "nan", "true", '"soon"'])
def test_a_latency_limit_that_is_none(latency: str) -> None:
    assert "workload.max_latency_ms: is" in refusal(f"{TEXT}\n[workload]\nmax_latency_ms = {latency}\n")


def test_an_unknown_workload_limit() -> None:
    assert "workload.max_cost: is not a known key" in refusal(f"{TEXT}\n[workload]\nmax_cost = 3\n")


# ---------------------------------------------------------------------------------------------- hostile files

HOSTILE = {
    "empty": "",
    "not TOML": "name == 3",
    "cut off": TEXT[: TEXT.index("[allow]") + 4],
    "a key twice": TEXT + "\naccept = []\n",
    "a table twice": TEXT + "\n[limits]\n",
    "deep lists": "name = " + "[" * 20_000,
    "deep tables": "name = " + "{a=" * 9_000,
    "a key of many parts": "a." * 30_000 + "b = 1",
    "a header of many parts": "[" + "a." * 30_000 + "b]",
    "an integer of many digits": "clip = " + "9" * 60_000,
    "many keys": "\n".join(f"k{n} = 1" for n in range(6_000)),
    "many tables": "\n".join(["[[limits]]"] * 6_000),
    "many threats": with_line("threats", "threats = [" + ",".join(f'"t{n}"' for n in range(6_000)) + "]"),
    "a long key": "k" * 60_000 + " = 1",
    "too large": "#" * 70_000,
    "a lone surrogate": 'name = "\\ud800"',
    "controls in a key": '"\\u001b[2J\\n" = 1',
    "limits a list": TEXT.replace("[limits]", "[[limits]]"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_refused_in_one_short_line(case: str) -> None:
    message = refusal(HOSTILE[case])
    assert message.startswith("p.toml") and message.isprintable()


def test_a_file_that_is_not_there_not_text_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"cannot be read \(No such file"):
        Policy.load(tmp_path / "none.toml")
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        Policy.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "x"\n# caf\xe9\n')
    with pytest.raises(PolicyInvalid, match=r"latin\.toml:2: byte 16 is not UTF-8"):
        Policy.load(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20))
    with pytest.raises(PolicyInvalid, match="is over 65536 bytes"):
        Policy.load(tmp_path / "large.toml")


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

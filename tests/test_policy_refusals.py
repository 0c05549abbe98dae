"""Every way in which a policy file is refused: fields, values, hostile text, files that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy_text import TEXT, line_of, refusal, with_line
from quatrefoil.errors import PolicyInvalid
from quatrefoil.policy import Policy

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
    "a threat by half its name": (
        "threats",
        'threats = ["network", "physical"]',
        "threats: 'physical' is unknown. Known: recorder, network, curious-aggregator, colluding-silos, curious-host,",
    ),
    "a threat under another spelling": ("threats", 'threats = ["physical_access"]', "threats: 'physical_access' is"),
    "a library for a scheme": ("aggregation", 'aggregation = ["seal"]', "allow.aggregation: 'seal' is unknown."),
    "a scheme twice": ("aggregation", 'aggregation = ["ckks", "ckks"]', "allow.aggregation: names 'ckks' twice"),
    "a site in a policy": ("rounds", 'rounds = 10\nsite = "premises"', "limits.site: is not a known key"),
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

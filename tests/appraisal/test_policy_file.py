"""Policy files are read strictly: what is missing, empty, contradictory or unknown is refused with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from appraisal_policies import TEXT, policy, with_

from attesting import MEASUREMENT
from quatrefoil.appraisal import AppraisalPolicy, load, parse
from quatrefoil.appraisal.policy import Rule
from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.errors import MessageRefused, PolicyInvalid

M = MEASUREMENT.hex()


def test_order_and_comments_do_not_change_the_digest() -> None:
    moved = with_('debug = "refuse"\n', "").replace("highest_vmpl = 0", 'highest_vmpl = 0 # top\ndebug = "refuse"')
    assert parse(moved, source="other.toml").digest() == policy().digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"keeper"', '"other"'),
        ('report_data = "required"', 'report_data = "any"'),
        ('debug = "refuse"', 'debug = "accept"'),
        ('smt = "accept"', 'smt = "refuse"'),
        ('ciphertext_hiding = "any"', 'ciphertext_hiding = "require"'),
        ('["vcek", "vlek"]', '["vcek"]'),
        ('chip_id = ["any"]', 'chip_id = ["01"]'),
        ("highest_vmpl = 0", "highest_vmpl = 1"),
        (f'["{M}"]', f'["{M}", "{M[::-1]}"]'),
        ("microcode = 219", "microcode = 220"),
    ],
)
def test_whatever_a_policy_says_is_in_its_digest(old: str, new: str) -> None:
    assert policy(old, new).digest() != policy().digest()


def test_a_policy_decodes_to_itself() -> None:
    assert AppraisalPolicy.decode(policy().encode()) == policy()


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(TEXT)
    assert load(tmp_path / "policy.toml") == policy()


def test_the_vocabulary_is_one_of_claims() -> None:
    for known in VOCABULARIES.values():
        assert known.established and set(known.code) <= set(known.measurements)


# ------------------------------------------------------------------------------------------------------- rejecting


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('name = "keeper"\n', "", 1, "name: is missing"),
        ('"keeper"', '"Keeper!"', 1, "is not a name"),
        ('report_data = "required"', 'report_data = "none"', 2, "'none' is not 'required' or 'any'"),
        ('report_data = "required"\n', "", 1, "report_data: is missing"),
        ("highest_vmpl = 0", "highest_vmpl = 4", 14, "outside 0 to 3"),
        ("highest_vmpl = 0", "highest_vmpl = -1", 14, "below 0"),
        ("highest_vmpl = 0", "highest_vmpl = 0x" + "f" * 5000, 14, "huge"),
        ("highest_vmpl = 0", 'highest_vmpl = "0"', 14, "is a string, not an integer"),
        ('debug = "refuse"', 'debug = "no"', 5, "'no' is not 'refuse' or 'accept'"),
        ('debug = "refuse"', "debug = false", 5, "is a boolean, not a string"),
        ('debug = "refuse"\n', "", 4, "sev-snp.debug: is missing"),
        ('smt = "accept"', 'smt = "any"', 7, "is not 'refuse' or 'accept'"),
        ('ciphertext_hiding = "any"', 'ciphertext_hiding = "refuse"', 10, "is not 'require' or 'any'"),
        ('debug = "refuse"', 'debug = "refuse"\nmaximum_age_s = 5', 6, "is not a known key"),
        ('debug = "refuse"', 'debug = "refuse"\nstatuses = ["UpToDate"]', 6, "is not a known key"),
        ('["vcek", "vlek"]', "[]", 12, "is empty: nothing would be accepted"),
        ('["vcek", "vlek"]', '["vcek", "any"]', 12, "'any' is unknown"),
        ('["vcek", "vlek"]', '["vcek", "vcek"]', 12, "twice"),
        ('chip_id = ["any"]', "chip_id = []", 13, "is empty"),
        ('chip_id = ["any"]', 'chip_id = ["any", "01"]', 13, "is not at most 512 bytes in lower-case hexadecimal"),
        ('chip_id = ["any"]', 'chip_id = ["0"]', 13, "hexadecimal"),
        ('chip_id = ["any"]', 'chip_id = ["0000"]', 13, "accepts only zeros"),
        (f'measurement = ["{M}"]', "", 16, "does not say what code is accepted"),
        (f'measurement = ["{M}"]', f'host_data = ["{"01" * 32}"]', 16, "does not say what code is accepted"),
        (f'measurement = ["{M}"]', f'measurment = ["{M}"]', 17, "Did you mean 'measurement'"),
        (f'measurement = ["{M}"]', "measurement = []", 17, "is empty"),
        (f'measurement = ["{M}"]', 'measurement = ["any"]', 17, "is not 48 bytes"),
        (f'measurement = ["{M}"]', f'measurement = ["{M[2:]}"]', 17, "is not 48 bytes"),
        (f'measurement = ["{M}"]', f'measurement = ["{M.upper()}"]', 17, "lower-case"),
        (f'measurement = ["{M}"]', f'measurement = ["{"00" * 48}"]', 17, "accepts only zeros"),
        ("microcode = 219", "microcode = 256", 23, "outside 0 to 255"),
        ("microcode = 219\n", "", 19, "microcode: is missing"),
        ("microcode = 219", "microcode = 219\nfmc = 1", 24, "is not a known key"),
        ("[sev-snp.minimum_tcb.Milan]", "[sev-snp.minimum_tcb.Naples]", 19, "is not a known key"),
        ("[sev-snp]", "[sev-smp]", 4, "Did you mean 'sev-snp'"),
    ],
)
def test_each_fault_is_refused_with_its_line(old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=re.escape(says)) as refused:
        policy(old, new)
    assert refused.value.problem.startswith(f"policy.toml:{line}: ") or says.startswith("Did you mean")
    assert f"policy.toml:{line}: " in str(refused.value)


@pytest.mark.parametrize("text", ["", 'name = "a"\nreport_data = "any"\n'])
def test_a_policy_that_accepts_nothing_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"is missing|accepts no kind"):
        parse(text, source="policy.toml")


def test_without_any_minimum_no_model_is_accepted() -> None:
    text = re.sub(r"\[sev-snp\.minimum_tcb\.\w+\]\n(\w+ = \d+\n)+", "", TEXT) + "[sev-snp.minimum_tcb]\n"
    with pytest.raises(PolicyInvalid, match="minimum_tcb: is empty"):
        parse(text, source="policy.toml")


def test_hints_name_this_page() -> None:
    with pytest.raises(PolicyInvalid, match=r"docs/attestation\.md"):
        policy('debug = "refuse"\n', "")


def test_a_policy_of_a_peer_that_contradicts_itself_is_its_fault() -> None:
    good = policy().encode()
    wrong = good.replace(b"required", b"requirex")
    with pytest.raises(MessageRefused):
        AppraisalPolicy.decode(wrong)


def test_a_rule_of_no_kind_cannot_be_built() -> None:
    rule = policy().rules[0]
    with pytest.raises(PolicyInvalid):
        Rule("software", rule.measurements, rule.platforms, (), (), (), ())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        load(tmp_path / "none.toml")

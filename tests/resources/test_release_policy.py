"""Release policy files are read strictly: what is missing, empty or contradictory is refused with its line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_policies import APPRAISAL, TEXT, appraised, policy, with_

from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.resources import Output, ReleasePolicy, load, parse
from quatrefoil.resources.policy import Stage


def test_order_and_comments_do_not_change_the_digest() -> None:
    moved = with_("longest_lease_s = 600\n", "")
    moved = moved.replace('renewal = "refused"', 'renewal = "refused" # end\nlongest_lease_s = 600')
    assert parse(moved, source="other.toml", appraisal_policy=appraised).digest() == policy().digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"hospital-model"', '"other"'),
        ('entry = ["train"]', 'entry = ["aggregate", "train"]'),
        ("longest_lease_s = 3600", "longest_lease_s = 3601"),
        ('renewal = "refused"', 'renewal = "allowed"'),
        ('"serve.toml"', '"train.toml"'),
        ('round-key = ["aggregate"]', 'round-key = ["aggregate", "serve"]'),
        ('model = ["serve"]', 'dataset = ["serve"]'),
    ],
)
def test_whatever_a_policy_says_is_in_its_digest(old: str, new: str) -> None:
    assert policy(old, new).digest() != policy().digest()


def test_a_policy_decodes_to_itself() -> None:
    assert ReleasePolicy.decode(policy().encode()) == policy()


def test_a_file_names_appraisal_policies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "release.toml").write_text(TEXT)
    for stage in ("train", "aggregate", "serve"):
        (tmp_path / f"{stage}.toml").write_text(_appraisal_text(stage))
    assert load(tmp_path / "release.toml") == policy()


def test_stages_and_outputs_are_found_by_name() -> None:
    train = policy().stage("train")
    assert train is not None
    assert train.output("round-key") == Output("round-key", ("aggregate",))
    assert train.output("model") is None
    assert policy().stage("publish") is None


# ------------------------------------------------------------------------------------------------------- rejecting


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('name = "hospital-model"\n', "", 1, "name: is missing"),
        ('"hospital-model"', '"Hospital model"', 1, "is not a name"),
        ('entry = ["train"]', "", 1, "entry: is missing"),
        ('entry = ["train"]', "entry = []", 2, "nothing could be released"),
        ('entry = ["train"]', 'entry = ["train", "train"]', 2, "twice"),
        ('entry = ["train"]', 'entry = ["publish"]', 2, "'publish' is no stage here"),
        ('entry = ["train"]', 'entry = "train"', 2, "not a list of strings"),
        ('entry = ["train"]', 'entry = ["train"]\nowner = "me"', 3, "is not a known key"),
        ('appraisal = "train.toml"\n', "", 4, "appraisal: is missing"),
        ("longest_lease_s = 3600", "longest_lease_s = 0", 6, "is below 1"),
        ("longest_lease_s = 3600", "longest_lease_s = -1", 6, "is below 1"),
        ("longest_lease_s = 3600", "longest_lease_s = 99999999999", 6, "outside 1 to"),
        ("longest_lease_s = 3600", "longest_lease_s = 1.5", 6, "not an integer"),
        ('renewal = "refused"', 'renewal = "maybe"', 14, "is not 'allowed' or 'refused'"),
        ("outputs = {}", "", 18, "outputs: is missing"),
        ('round-key = ["aggregate"]', 'weights = ["aggregate"]', 9, "is not a known key"),
        ('round-key = ["aggregate"]', "round-key = []", 9, "nothing could be released"),
        ('round-key = ["aggregate"]', 'round-key = ["nowhere"]', 9, "'nowhere' is no stage here"),
        ('model = ["serve"]', 'model = ["train"]', 15, "in a circle: among 'aggregate', 'train'"),
        ('model = ["serve"]', 'model = ["aggregate"]', 15, "in a circle"),
        ('model = ["serve"]', "", 18, "is never reached"),
        ("[stages.serve]", "[stages.SERVE]", 18, "is not a name"),
    ],
)
def test_a_fault_is_refused_with_its_line(old: str, new: str, line: int, said: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy(old, new)
    assert refused.value.problem.startswith(f"release.toml:{line}:"), refused.value.problem
    assert said in refused.value.problem
    assert refused.value.hint


def test_a_policy_without_stages_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match=re.escape("release.toml:3: stages: are 0")):
        parse('name = "a"\nentry = ["b"]\n[stages]\n', source="release.toml", appraisal_policy=appraised)


def test_an_appraisal_policy_that_is_not_there_is_refused_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "release.toml").write_text(TEXT)
    with pytest.raises(PolicyInvalid, match=r"release.toml:12: stages.aggregate.appraisal: .*aggregate.toml.*be read"):
        load(tmp_path / "release.toml")


def test_an_appraisal_policy_with_a_fault_is_refused_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "release.toml").write_text(TEXT)
    for stage in ("train", "aggregate", "serve"):
        (tmp_path / f"{stage}.toml").write_text(_appraisal_text(stage))
    (tmp_path / "serve.toml").write_text(_appraisal_text("serve").replace('debug = "refuse"', 'debug = "perhaps"'))
    with pytest.raises(PolicyInvalid, match=r"release.toml:19: .*serve.toml:\d+: sev-snp.debug"):
        load(tmp_path / "release.toml")


def test_an_appraisal_policy_that_binds_evidence_to_no_key_is_refused() -> None:
    """The attack that it would allow: the evidence of honest code, presented with a key of one's own."""
    loose = replace(appraised("train.toml"), report_data="any")
    with pytest.raises(PolicyInvalid, match=r"release.toml:5: stages.train.appraisal: .*another key"):
        parse(
            TEXT,
            source="release.toml",
            appraisal_policy=lambda name: loose if name == "train.toml" else appraised(name),
        )


@given(
    entry=st.sets(st.integers(0, 4), min_size=1),
    leads=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8),
)
def test_only_policies_that_lead_everywhere_and_never_back_are_accepted(
    entry: set[int], leads: list[tuple[int, int]]
) -> None:
    """Held to all walks of as many steps as there are stages, which no policy without circles has."""
    walks = [entry]
    for _ in range(5):
        walks.append({to for begin, to in leads if begin in walks[-1]})
    everywhere = [set(range(5))]
    for _ in range(5):
        everywhere.append({to for begin, to in leads if begin in everywhere[-1]})
    good = set().union(*walks) == set(range(5)) and not everywhere[-1]

    def stage(number: int) -> Stage:
        to = tuple(sorted({str(end) for begin, end in leads if begin == number}))
        outputs = (Output("model", to),) if to else ()
        return Stage(str(number), appraised("a.toml"), 60, "allowed", outputs)

    try:
        ReleasePolicy("p", tuple(sorted(map(str, entry))), tuple(map(stage, range(5))))
    except PolicyInvalid:
        assert not good
    else:
        assert good


def test_a_policy_from_a_peer_that_contradicts_itself_is_the_peers_fault() -> None:
    good = policy()
    wrong = object.__new__(ReleasePolicy)
    object.__setattr__(wrong, "name", good.name)
    object.__setattr__(wrong, "entry", ("nowhere",))
    object.__setattr__(wrong, "stages", good.stages)
    with pytest.raises(MessageRefused, match="nowhere"):
        ReleasePolicy.decode(wrong.encode())


@pytest.mark.parametrize("position", [0, 1])
def test_stages_that_are_not_sorted_are_refused(position: int) -> None:
    given = policy().stages
    stages: tuple[Stage, ...] = given[::-1] if position else (*given, given[-1])
    with pytest.raises(PolicyInvalid, match="not sorted, or repeats"):
        replace(policy(), stages=stages)


def _appraisal_text(stage: str) -> str:
    return APPRAISAL.replace('"keeper"', f'"{stage}"')

"""``[key_authority]``: a committee of silos in place of a keeper, and every combination that cannot be."""

from __future__ import annotations

import pytest

from policy_text import TEXT, parse
from quatrefoil.errors import PolicyInvalid
from quatrefoil.policy import KEEPER, KeyAuthority

COMMITTEE = (
    TEXT.replace('"curious-aggregator"]', '"curious-aggregator", "byzantine-silo"]')
    .replace("rounds = 10", "rounds = 10\nupdate_norm = 1.0")
    .replace('enclave = ["software"]', 'enclave = ["committee"]')
    .replace('accept = ["software-keeper"]', "accept = []")
    + """
[key_authority]
kind = "committee"
members = 8
silent = 2
liars = 1
"""
)


def changed(*pairs: tuple[str, str]) -> str:
    text = COMMITTEE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_committee_of_eight_with_two_silent_and_one_liar_takes_five_answers() -> None:
    policy = parse(COMMITTEE)
    assert policy.key_authority == KeyAuthority("committee", (), 8, 2, 1)
    assert policy.threshold is not None and policy.threshold.members == 8 and policy.threshold.recovery == 5
    assert policy.threshold.privacy >= 1


def test_without_the_table_there_is_a_keeper() -> None:
    assert parse(TEXT).key_authority == KEEPER and parse(TEXT).threshold is None
    said = parse(TEXT + '\n[key_authority]\nkind = "keeper"\n')
    assert said.digest() == parse(TEXT).digest()


def test_members_may_be_named() -> None:
    names = ["h", "g", "f", "e", "d", "c", "b", "a"]
    policy = parse(changed(("members = 8", f"members = {names}".replace("'", '"'))))
    assert policy.key_authority.members == tuple(sorted(names)) and policy.key_authority.size == 8


def test_the_first_of_the_roster_are_appointed_where_a_number_is_given() -> None:
    authority = KeyAuthority("committee", (), 2, 0, 0)
    assert authority.appointed(("c", "a", "b")) == ("a", "b")
    with pytest.raises(PolicyInvalid, match="committee of 2 is more than the 1 silos"):
        authority.appointed(("a",))


def test_named_members_must_be_of_the_job() -> None:
    with pytest.raises(PolicyInvalid, match="'x' of the committee are not on the roster"):
        KeyAuthority("committee", ("a", "x"), 0, 0, 0).appointed(("a", "b"))


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ((("members = 8", "members = 7"),), "a committee of 7, of whom 2 may be silent, 1 lie and 1 collude"),
        ((("silent = 2", "silent = 3"),), "a committee of 8, of whom 3 may be silent"),
        ((("liars = 1", "liars = 2"),), "a committee of 8, of whom 2 may be silent, 2 lie"),
        ((("liars = 1", "liars = 0"),), "0 is under colluding_silos = 1"),
        ((("members = 8", "members = []"),), "key_authority.members: is empty"),
        ((("members = 8", "members = 65"),), "is 65, outside 1 to 64"),
        ((("silent = 2", "silent = -1"),), "is -1, outside 0 to 64"),
        ((("members = 8", 'members = ["a", "a"]'),), "names 'a' twice"),
        ((("members = 8", 'members = ["A"]'),), "is not a name"),
        ((("members = 8", "members = 1.5"),), "is a float, not an integer"),
        ((("\nliars = 1", ""),), "key_authority.liars: is missing"),
        ((('kind = "committee"', 'kind = "keeper"'), ("members = 8\n", "")), "a keeper has no members"),
        ((('kind = "committee"', 'kind = "nobody"'), ("members = 8\n", "")), "is not 'keeper' or 'committee'"),
        ((("update_norm = 1.0", ""),), "is a committee, and threats do not name 'byzantine-silo', or there is no"),
        (((', "byzantine-silo"', ""),), "is a committee, and threats do not name 'byzantine-silo'"),
        ((('"additive-rlwe"', '"additive-rlwe", "ckks"'),), "allows additive-rlwe, ckks, and the key authority is"),
        ((('"additive-rlwe"', '"ckks"'),), "allows ckks, and the key authority is a committee"),
        ((('["committee"]', '["software"]'), ("accept = []", 'accept = ["software-keeper"]')), "is software, and the"),
    ],
)
def test_what_cannot_be_is_refused_by_name(pairs: tuple[tuple[str, str], ...], problem: str) -> None:
    with pytest.raises(PolicyInvalid, match=problem):
        parse(changed(*pairs))


def test_a_committee_that_nobody_appoints_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="is committee, and the key authority is a keeper"):
        parse(COMMITTEE.partition("[key_authority]")[0])


def test_a_committee_and_an_enclave_together_are_refused() -> None:
    text = changed(('["committee"]', '["committee", "software"]'), ("accept = []", 'accept = ["software-keeper"]'))
    with pytest.raises(PolicyInvalid, match="is committee, software, and the key authority is a committee"):
        parse(text)


def test_threats_that_a_keepers_isolation_answers_need_none_of_a_committee() -> None:
    assert not parse(changed(('"recorder"', '"recorder", "curious-host"'))).wants_isolation

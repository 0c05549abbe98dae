"""Every fuzz target, for a bounded number of inputs: its seeds, altered seeds, and what once broke it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from tests.fuzz import rooms
from tests.fuzz.mutations import altered
from tests.fuzz.run import TARGETS

import quatrefoil
from quatrefoil.transport import statement, system_clock

FOUND = Path(__file__).with_name("found")
INPUTS = 300

each_target = pytest.mark.parametrize("name", TARGETS)


def target(name: str):
    return importlib.import_module(f"tests.fuzz.targets.{name}")


def test_the_parsers_all_have_targets() -> None:
    parsers = {"archive", "ber", "certificate", "ciphertext", "contribution", "envelope", "frames", "jobs", "kernel"}
    bindings = {"attested_keys", "aci"}
    oblivious = {"binary_http", "oblivious_http"}
    logs = {"log_notes", "log_tiles", "log_journal"}
    resources = {"release_policy", "sealed_model"}
    quotes = {"dcap_quote", "dcap_collateral", "tpm_quote", "nitro_document", "gpu_report", "gpu_manifest"}
    others = {"broker_requests", "messages", "proof", "receipt", "root_key", "signed_bodies", "statement"}
    encrypted = {"encrypted_table", "encrypted_network", "ckks_sum"}
    collected = {"azure_paravisor", "event_log", "nsm_answer", "snp_certificate_table", "collateral_manifest"}
    collected |= {"fetched_collateral"}
    inference = {
        "answer_records",
        "integer_graph",
        "integer_rule",
        "log_bodies",
        "inference_program",
        "inference_proof",
        "audit_sample",
        "infer_request",
        "infer_response",
        "onnx_file",
        "proof_of_answers",
        "proof_results",
        "inference_receipt",
        "receipt_journal",
        "serving_entry",
        "serving_policy",
        "upstream_events",
        "upstream_request",
    }
    committees = {"committee_authority", "committee_dealing", "committee_shares", "member_sums"}
    carried = {"flower_contents", "seat_line", "tree_result"}
    near = {"data_files", "http_requests", "plain_sum", "proxied_content", "short_texts", "stream_lines"}
    known = (
        committees
        | carried
        | near
        | parsers
        | logs
        | quotes
        | bindings
        | oblivious
        | resources
        | collected
        | others
        | inference
        | encrypted
    )
    assert known <= set(TARGETS)


def test_every_type_of_message_is_fuzzed() -> None:
    """The code is read for them: a type whose room the target does not import would be left out in silence."""
    source = Path(quatrefoil.__file__).parent
    named = re.compile(r'^    TYPE: ClassVar\[str\] = "(urn:quatrefoil:[^"]+)"', re.M)
    found = {name for file in source.rglob("*.py") for name in named.findall(file.read_text())}
    assert len(found) > 100 and found == set(target("messages").KINDS)


def test_what_a_member_signs_gets_past_its_signature() -> None:
    """Otherwise no target sees more of it than a refused certificate."""
    signed = statement.sign(b"whatever it likes", rooms.member())
    assert statement.verify(signed, rooms.trust(), clock=system_clock).body == b"whatever it likes"


@each_target
def test_seeds_hold(name: str) -> None:
    found = target(name)
    assert found.seeds()
    for seed in (b"", *found.seeds()):
        found.one(seed)


@each_target
@pytest.mark.parametrize("part", range(2))
def test_altered_seeds_hold(name: str, part: int) -> None:
    found = target(name)
    for data in altered(found.seeds(), INPUTS // 2, number=part):
        found.one(data)


@pytest.mark.parametrize("file", sorted(FOUND.glob("*-*")), ids=lambda file: file.name)
def test_what_once_broke_a_target_does_not_any_more(file: Path) -> None:
    """``found`` holds inputs by the name of their target and of what they broke."""
    target(file.name.partition("-")[0]).one(file.read_bytes())


def test_alterations_are_the_same_each_time_and_differ() -> None:
    once, again = (list(altered([b"seed" * 20], 50, number=3)) for _ in range(2))
    assert once == again and len(set(once)) > 40
    assert once != list(altered([b"seed" * 20], 50, number=4))


def test_a_parser_that_raises_anything_else_is_noticed() -> None:
    from tests.fuzz.held import refused_or, refused_or_same

    from quatrefoil.errors import MessageRefused

    def refuse() -> None:
        raise MessageRefused("it is wrong", hint="send another")

    assert refused_or(refuse) is None
    with pytest.raises(ZeroDivisionError):
        refused_or(lambda: 1 // 0)
    with pytest.raises(AssertionError, match="another encoding"):
        refused_or_same(lambda: b"a", lambda value: value + b"b", b"a")

"""Serving policies: one reading, every fault with its line, and one digest for both ends."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from quatrefoil import appraisal, exchange
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import EvidenceRejected, MessageRefused, PolicyInvalid
from quatrefoil.exchange import Model, ServingPolicy, protocol
from quatrefoil.ohttp import HybridKey

EXAMPLE = Path(__file__).parents[2] / "examples" / "serving" / "policy.toml"
APPRAISAL = appraisal.load(EXAMPLE.parents[1] / "appraisal" / "sev-snp.toml")


def read(text: str) -> ServingPolicy:
    return exchange.parse(text, source="p.toml", appraisal_policy=lambda name: APPRAISAL)


def test_the_example_is_read_and_its_bytes_give_it_back() -> None:
    policy = exchange.load(EXAMPLE)
    assert policy.model.name == "heart" and policy.attestation.appraisal == APPRAISAL
    assert ServingPolicy.decode(policy.encode()) == policy
    assert policy.request_padding.padded(1) == 256


def test_comments_and_layout_do_not_change_the_digest_and_every_value_does() -> None:
    text = EXAMPLE.read_text()
    assert read(re.sub(r" +#.*", "", text)).digest() == read(text).digest()
    seen = {read(text).digest()}
    for found in re.finditer(r"^(\w+ = )(\d+)", text, re.MULTILINE):
        changed = text[: found.start(2)] + str(int(found[2]) + 1) + text[found.end(2) :]
        seen.add(read(changed).digest())
    assert len(seen) == 1 + len(re.findall(r"^\w+ = \d+", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "ward-serving"', 'name = ""', "name"),
        ('padding]\nrequests = "padme"', 'padding]\nrequests = "some"', "padding.requests"),
        ("queued = 64", "queued = -1", "limits.queued"),
        ("queued = 64", "queues = 64", "limits.queues"),
        ("concurrent = 2 ", "concurrent = 0 ", "limits.concurrent"),
        ("stream_seconds = 600", "stream_seconds = 3", "limits.stream_seconds"),
        ("overlap_s = 600", "overlap_s = 7200", "keys.overlap_s"),
        ('root = "0011', 'root = "11', "model.root"),
        ("life_s = 3600", "life_s = 0", "attestation.life_s"),
        ("life_s = 3600", "", "attestation.life_s"),
        ('caches = "request"', 'caches = "all"', "isolation.caches"),
        ('name = "ward-serving"', 'name = "ward-serving"\nplan = "no"', "plan"),
    ],
)
def test_every_fault_is_named_with_its_field_and_line(old: str, new: str, said: str) -> None:
    text = EXAMPLE.read_text()
    assert text.count(old) == 1
    with pytest.raises(PolicyInvalid, match=rf"p\.toml:\d+: {re.escape(said)}: "):
        read(text.replace(old, new))


def test_evidence_about_anybodys_keys_is_no_policy() -> None:
    loose = replace(APPRAISAL, report_data="any")
    with pytest.raises(PolicyInvalid, match=r"attestation\.appraisal"):
        exchange.parse(EXAMPLE.read_text(), source="p.toml", appraisal_policy=lambda name: loose)


def test_a_policy_that_a_peer_sent_and_that_contradicts_itself_is_its_fault() -> None:
    policy = read(EXAMPLE.read_text())
    broken = policy.encode().replace(b"ward-serving", b"Ward serving")
    with pytest.raises(MessageRefused):
        ServingPolicy.decode(broken)
    with pytest.raises(PolicyInvalid):
        replace(policy, model=Model("heart", b"short"))


def test_the_attested_key_is_what_requests_are_sealed_to() -> None:
    key = HybridKey.generate()
    keyset = Keyset(sealing=protocol.sealing_key(key), tls=b"", receipt=b"", not_before=0, expires=1)
    configuration = protocol.configuration(keyset)
    assert configuration.public == key.public and configuration.key_id == protocol.key_id(key.public)


@pytest.mark.parametrize("sealing", [b"", b"\x00\x20" + bytes(40), bytes.fromhex("647a00010002") + b"p" * 30])
def test_a_keyset_without_such_a_key_is_refused(sealing: bytes) -> None:
    keyset = Keyset(sealing=sealing, tls=bytes(32), receipt=b"", not_before=0, expires=1)
    with pytest.raises(EvidenceRejected) as refusal:
        protocol.configuration(keyset)
    assert refusal.value.check == "keyset"

"""docs/serving.md against the code: fields of the policy with their ranges, paths, numbers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from quatrefoil.errors import PolicyInvalid
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import replay
from quatrefoil.serving import challenges, keys, opening, problems, server
from serving_parts import serving_policy

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "serving.md").read_text().split())


def table() -> dict[str, str]:
    """Field of the policy -> its values, as the page has them."""
    found = {}
    for names, values in re.findall(r"\| ((?:`[\w.]+`(?:, )?)+) \| ([^|]+) \| [^|]+ ", PAGE.partition("## Policy")[2]):
        for name in re.findall(r"`([\w.]+)`", names):
            found.setdefault(name, values)
    return found


def test_every_field_of_the_policy_is_explained_and_no_other() -> None:
    policy = serving_policy()
    real = set()
    for one in dataclasses.fields(policy):
        value = getattr(policy, one.name)
        within = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        real |= {f"{one.name}.{each.name}" for each in within} or {one.name}
    listed = {name for name in table() if not name.startswith("/")}
    assert real <= listed
    assert {name for name in listed if "." in name and not name.endswith(".md")} <= real


@pytest.mark.parametrize(
    "name",
    [
        *("attestation.life_s", "keys.rotate_s", "limits.request_bytes", "limits.answer_bytes", "limits.connections"),
        *("limits.concurrent", "limits.queued", "limits.seconds", "stream.window_ms", "stream.event_bytes"),
    ],
)
def test_ranges_are_those_that_are_taken(name: str) -> None:
    least, most = (int(number.replace(",", "")) for number in re.findall(r"[\d,]+", table()[name]))
    field = name.replace(".", "__")
    more = {"limits__stream_seconds": 86400} if name == "limits.seconds" else {}
    more |= {"keys__overlap_s": 1} if name == "keys.rotate_s" else {}
    for value in (least, most):
        serving_policy(**{field: value, **more})
    for value in (least - 1, most + 1):
        with pytest.raises(PolicyInvalid):
            serving_policy(**{field: value, **more})


def test_paths_types_and_numbers_are_those_of_the_code() -> None:
    for text in (
        protocol.ATTESTATION_PATH,
        protocol.GATEWAY_PATH,
        protocol.LIVE_PATH,
        protocol.READY_PATH,
        protocol.PURPOSE,
        protocol.RECEIPT_FIELD.decode(),
        problems.KEY_PROBLEM,
        problems.DATE_PROBLEM,
        f"`not_before` lies {keys.CLOCK_SKEW_S} seconds back",
        f"{replay.WINDOW_SECONDS} seconds around its clock",
        f"up to {replay.CAPACITY:,} in the window",
        f"{challenges.WAITING} wait",
        f"answer for {challenges.REMEMBERED_S:.0f} seconds",
        f"with {opening.HEAD_BYTES >> 10} KiB of head",
        f"{server.FLUSH_S} seconds' worth",
    ):
        assert text in PAGE, text
    assert challenges.AT_ONCE == 2 and "Two challenges are answered at once" in PAGE

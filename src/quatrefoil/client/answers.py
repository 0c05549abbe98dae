"""What comes back, in the manners of HTTP clients: status, headers, content; and its receipt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from quatrefoil import strict_json
from quatrefoil.client.receipts import Receipt
from quatrefoil.errors import DateRefused, EvidenceRejected, MessageRefused, RequestRefused
from quatrefoil.inference.datatypes import Array
from quatrefoil.ohttp.messages import Fields

PROBLEM_TYPE = "application/problem+json"
DATE_PROBLEM = "https://iana.org/assignments/http-problem-types#date"
"""RFC 9458 section 6.5.2."""

LONGEST_REASON = 300
LARGEST_ERROR = 64 << 10
"""Bytes of an answer that are looked into for a reason."""

_WHAT_TO_DO = {
    401: "Ask the operator who may use this server",
    403: "Ask the operator who may use this server",
    404: "Check the model's name and the path",
    408: "Send it again",
    413: "Send less at once",
    429: "Try again later",
    503: "Try again later",
    504: "Try again later, or with less at once",
}


class Headers(Mapping[str, str]):
    """Fields by name, without regard to case; several of one name are joined by commas (RFC 9110 section 5.3)."""

    def __init__(self, fields: Fields) -> None:
        self.raw = fields
        self._joined: dict[str, str] = {}
        for name, value in fields:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._joined[key] = f"{self._joined[key]}, {text}" if key in self._joined else text

    def __getitem__(self, name: str) -> str:
        return self._joined[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._joined

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._joined)})"


@dataclass(frozen=True, repr=False)
class Answer:
    """A whole answer. It came with ``receipt``, which has been verified; ``content`` is what that commits to."""

    status: int
    headers: Headers
    content: bytes
    receipt: Receipt

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The content as UTF-8; what is none is shown as U+FFFD."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The content as JSON, or ``MessageRefused``."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            problem = "the answer is no JSON"
        # Outside of the handler: that error quotes content.
        raise MessageRefused(problem, hint="Look at its content-type, and use .content")

    def raise_for_status(self) -> Self:
        """This answer if its status is of success; otherwise ``RequestRefused`` with the status."""
        if not self.is_success:
            raise refused(self.status, self.headers, self.content)
        return self

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.content)} bytes, {self.receipt.line()}>"


@dataclass(frozen=True, repr=False, eq=False)
class Inferred:
    """A model's answer: ``outputs`` by name, in the order asked for."""

    outputs: Mapping[str, Array]
    receipt: Receipt
    model_version: str = ""

    def __getitem__(self, name: str) -> Array:
        return self.outputs[name]

    def __repr__(self) -> str:
        return f"<Inferred {', '.join(self.outputs)}; {self.receipt.line()}>"


def refused(status: int, headers: Headers, content: bytes) -> RequestRefused | DateRefused:
    """An inner answer without success as an error: what the server says, and what to do."""
    if status == 400 and headers.get("content-type", "") == PROBLEM_TYPE and DATE_PROBLEM in _member(content, "type"):
        return DateRefused(
            f"the request's date is not within the server's window; by its clock it is {headers.get('date', 'unsaid')}",
            hint="Set the clock, and send it again",
        )
    reason = _reason(content)
    hint = _WHAT_TO_DO.get(status, "See what the server says, and correct the request")
    if status >= 500 and status not in _WHAT_TO_DO:
        hint = "Try again; if it stays so, ask the server's operator"
    if (after := headers.get("retry-after", "")).isascii() and after.isdigit() and status in (429, 503):
        hint = f"Try again in {int(after[:9])} s"
    return RequestRefused(f"the server answers {status}{f': {reason}' if reason else ''}", hint=hint, status=status)


def _reason(content: bytes) -> str:
    """The error's text, as the Open Inference Protocol, OpenAI and problem details (RFC 9457) write it."""
    return _member(content, "error") or _member(content, "detail")


def _member(content: bytes, name: str) -> str:
    """A text in a JSON object, or the message of an object in it; empty where there is none."""
    try:
        said = strict_json.parse(content, "the error", limit=LARGEST_ERROR)
    except EvidenceRejected:
        return ""
    found = said.get(name) if isinstance(said, dict) else None
    if isinstance(found, dict):
        found = found.get("message")
    return found[:LONGEST_REASON] if isinstance(found, str) else ""


__all__ = ["Answer", "Headers", "Inferred", "refused"]

"""Requests to an upstream of OpenAI's API: read far enough to know that they reach nobody else, and written anew.

What goes up is written from what was read, so that the upstream reads the same. Members are those of a list: one that
this list does not have might reach into another request, a cache or the network. docs/gateway.md has it with reasons.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quatrefoil import strict_json
from quatrefoil.errors import CallerError, EvidenceRejected, RequestRefused

CHAT, COMPLETIONS, EMBEDDINGS, MODELS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GENERATING = _names(
    "model stream stream_options max_tokens n seed stop temperature top_p logprobs logit_bias frequency_penalty"
    " presence_penalty response_format"
    # What vLLM and others take beside these: each about how this one answer is sampled or written.
    " top_k min_p repetition_penalty length_penalty stop_token_ids include_stop_str_in_output ignore_eos min_tokens"
    " skip_special_tokens spaces_between_special_tokens truncate_prompt_tokens prompt_logprobs allowed_token_ids"
    " bad_words add_special_tokens return_token_ids return_tokens_as_token_ids"
)
ALLOWED: dict[str, frozenset[str]] = {
    CHAT: _GENERATING
    | _names(
        "messages max_completion_tokens top_logprobs tools tool_choice parallel_tool_calls reasoning_effort verbosity"
        " add_generation_prompt continue_final_message include_reasoning thinking_token_budget"
    ),
    COMPLETIONS: _GENERATING | _names("prompt suffix echo best_of"),
    EMBEDDINGS: _names("model input dimensions encoding_format truncate_prompt_tokens add_special_tokens"),
}
"""Members of the JSON object of a request to each path. ``cache_salt`` is beside them: it is replaced."""

REFUSED = _names(
    # Who asks, kept or told to others; what is kept beyond the request; a cache chosen by its caller.
    "user safety_identifier metadata store prompt_cache_key prompt_cache_retention prompt_cache_options"
    # Other requests: overtaken, or taken for this one.
    " service_tier priority request_id session_id"
    # Caches of other processes, the network, and extensions that may do anything.
    " kv_transfer_params ec_transfer_params vllm_xargs web_search_options audio modalities moderation"
    # Programs and objects that the upstream runs or loads in the process that it answers everybody from.
    " chat_template chat_template_kwargs prompt_embeds media_io_kwargs mm_processor_kwargs"
)
"""Known members that are not allowed: an error names them. Others are refused without their name."""

SALT = "cache_salt"
SHORTEST_SALT = 16

_MESSAGE = _names("role content name refusal tool_calls tool_call_id function_call reasoning reasoning_content")
_INLINE = "data:"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_FORMAT = re.compile(r"[A-Za-z0-9_-]{1,16}")


@dataclass(frozen=True, repr=False)
class UpstreamRequest:
    """What goes up. ``stream``: whether the answer is to be one of events."""

    path: str
    content: bytes
    stream: bool

    def __repr__(self) -> str:
        return "<UpstreamRequest>"


def read(path: str, content: bytes, *, model: str, salt: str, limit: int) -> UpstreamRequest:
    """The request to ``path`` in ``content``, of at most ``limit`` bytes, as it goes up: ``model`` and ``salt`` set.

    ``RequestRefused`` with the status of HTTP; its text holds nothing of the content.
    """
    if len(salt) < SHORTEST_SALT:
        raise CallerError("the salt of a tenant's cache is too short", hint=f"Give {SHORTEST_SALT} characters or more")
    if len(content) > limit:
        raise RequestRefused("the request is over the limit", hint=f"Send at most {limit} bytes", status=413)
    request = _parsed(content, limit)
    if type(request) is not dict:
        raise RequestRefused("the body is no JSON object with one reading", hint="Send JSON, each name once")
    _check_members(request, ALLOWED[path])
    if request.get("model", model) != model:
        raise RequestRefused(
            "the model is not served here", hint=f"Ask for {model!r}, or leave the model out", status=404
        )
    stream = request.get("stream", False)
    if type(stream) is not bool and stream is not None:
        raise RequestRefused("stream is neither true nor false", hint="Send a boolean")
    if path == CHAT:
        _check_messages(request.get("messages"))
        _check_tools(request.get("tools") or [])
    for name in ("prompt", "input", "suffix"):
        _check_text(request.get(name))
    _check_schemas([request.get("tools"), request.get("response_format")])
    # In place of the client's own: whoever chooses a salt chooses whose cached prompts answer faster.
    written = json.dumps({**request, "model": model, SALT: salt}, allow_nan=False, separators=(",", ":"))
    return UpstreamRequest(path, written.encode(), bool(stream))


def _check_members(request: dict[str, Any], allowed: frozenset[str]) -> None:
    extra = request.keys() - allowed - {SALT}
    if not extra:
        return
    if named := sorted(extra & REFUSED):
        raise RequestRefused(f"{named[0]} is not passed on", hint="Leave it out; docs/gateway.md says why")
    raise RequestRefused(
        "the request has a member that is not passed on", hint="docs/gateway.md lists those that are; leave others out"
    )


def _check_messages(messages: Any) -> None:
    if type(messages) is not list:
        raise RequestRefused("messages is no list", hint="Send a list of messages")
    for message in messages:
        if type(message) is not dict or not message.keys() <= _MESSAGE:
            raise RequestRefused(
                "a message has a member that is not passed on", hint="docs/gateway.md lists those that are"
            )
        content = message.get("content")
        if content is None or type(content) is str:
            continue
        if type(content) is not list or not all(map(_is_inline, content)):
            raise RequestRefused(
                "a part of a message is neither text nor data in the message itself",
                hint="Send text, or pictures and sound as data: nothing is fetched for a request",
            )


def _check_text(value: Any) -> None:
    """Text or tokens, or a list of such: some upstreams take objects there, with addresses of what they fetch."""

    def is_tokens(one: Any) -> bool:
        return type(one) is list and all(type(token) is int for token in one)

    if value is None or type(value) is str or is_tokens(value):
        return
    if type(value) is not list or not all(type(one) is str or is_tokens(one) for one in value):
        raise RequestRefused(
            "what is to be completed or embedded is neither text nor tokens", hint="Send text, or lists of tokens"
        )


def _is_inline(part: Any) -> bool:
    """Whether a part has all of what it is about in itself: no address, no name of something kept elsewhere."""
    if type(part) is not dict:
        return False
    known: dict[str, Callable[[Any], bool]] = {
        "text": lambda text: type(text) is str,
        "refusal": lambda text: type(text) is str,
        "image_url": lambda image: (
            type(image) is dict
            and image.keys() <= {"url", "detail"}
            and type(image.get("url")) is str
            and image["url"].startswith(_INLINE)
            and (image.get("detail") is None or type(image["detail"]) is str)
        ),
        "input_audio": lambda audio: (
            type(audio) is dict
            and audio.keys() == {"data", "format"}
            and _matches(_BASE64, audio["data"])
            and _matches(_FORMAT, audio["format"])
        ),
    }
    kind = part.get("type")
    return type(kind) is str and kind in known and part.keys() == {"type", kind} and known[kind](part[kind])


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return type(value) is str and pattern.fullmatch(value) is not None


def _check_tools(tools: Any) -> None:
    """Functions are only described to the model; other tools are run by the upstream."""
    if type(tools) is not list or any(type(tool) is not dict or tool.get("type") != "function" for tool in tools):
        raise RequestRefused("a tool is no function", hint="Send functions only: the client runs those")


def _check_schemas(value: Any) -> None:
    """A reference inside a schema is followed; one to elsewhere might be fetched."""
    for one in value.values() if type(value) is dict else value if type(value) is list else []:
        _check_schemas(one)
    if type(value) is dict:
        for name in ("$ref", "$dynamicRef", "$recursiveRef"):
            if type(target := value.get(name)) is str and not target.startswith("#"):
                raise RequestRefused(
                    "a schema refers to another document",
                    hint="Put it into the schema: nothing is fetched for a request",
                )


def _parsed(content: bytes, limit: int) -> Any:
    """``None`` for what is not strict JSON: an error raised in here would carry one that quotes the content."""
    try:
        return strict_json.parse(content, "a request", limit=limit, integer=_integer)
    except EvidenceRejected:
        return None


def _integer(text: str) -> int:
    """Integers of 64 bits, as seeds are; a longer one has readers that round it."""
    if len(text) > 20 or not -(1 << 63) <= (value := int(text)) < 1 << 63:
        raise ValueError
    return value

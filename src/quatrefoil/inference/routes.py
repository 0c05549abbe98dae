"""The paths of the protocol (Open Inference Protocol v2, "HTTP/REST")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from quatrefoil.errors import RequestRefused

Kind = Literal["server-metadata", "server-live", "server-ready", "model-metadata", "model-ready", "infer"]

_MODEL = re.compile(r"/v2/models/([A-Za-z0-9._-]{1,128})(?:/versions/([A-Za-z0-9._-]{1,64}))?(?:/(ready|infer))?")
_SERVER: dict[str, Kind] = {
    "/v2": "server-metadata",
    "/v2/health/live": "server-live",
    "/v2/health/ready": "server-ready",
}
_OF_MODEL: dict[str | None, Kind] = {None: "model-metadata", "ready": "model-ready", "infer": "infer"}


@dataclass(frozen=True)
class Route:
    """What a request is for; ``model`` and ``version`` are empty where the path has none."""

    kind: Kind
    model: str = ""
    version: str = ""


def route(method: str, path: str) -> Route:
    """What a method and a path ask for, or ``RequestRefused``: 404, or 405 for another method.

    One spelling each: no percent-encoding, no slash at the end. Names have letters, digits, ``.``, ``_`` and ``-``.
    """
    found = _found(path)
    wanted = "POST" if found.kind == "infer" else "GET"
    if method != wanted:
        raise RequestRefused("the method is not that of this path", hint=f"Send {wanted}", status=405)
    return found


def _found(path: str) -> Route:
    if path in _SERVER:
        return Route(_SERVER[path])
    if (match := _MODEL.fullmatch(path)) is None:
        raise RequestRefused("the path is not of this protocol", hint="docs/inference.md lists the paths", status=404)
    return Route(_OF_MODEL[match[3]], match[1], match[2] or "")

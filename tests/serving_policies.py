"""The serving policy that tests of commands write, as text."""

from __future__ import annotations

_TEXT = """\
name = "ward"
[model]
name = "{name}"
root = "{root}"
[attestation]
appraisal = "{appraisal}"
life_s = 600
[keys]
rotate_s = 60
overlap_s = 30
[limits]
request_bytes = 1000000
answer_bytes = 1000000
connections = 64
concurrent = 2
queued = 16
seconds = {seconds}
stream_seconds = {seconds}
[padding]
requests = "padme"
answers = "padme"
[stream]
window_ms = 0
event_bytes = 0
[isolation]
caches = "request"
"""


def serving_policy(name: str, root: str, *, appraisal: str = "machine.toml", seconds: int = 20) -> str:
    """``root``: in hexadecimal. ``appraisal``: a file beside it. ``seconds``: for one request, or stream."""
    return _TEXT.format(name=name, root=root, appraisal=appraisal, seconds=seconds)

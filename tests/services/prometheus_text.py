"""The text form of Prometheus, read strictly: version 0.0.4 of the exposition formats, as far as it is used."""

from __future__ import annotations

import re

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*",?)+\})? (\S+)')
TYPE = re.compile(r"# TYPE (\S+) (counter|gauge|summary|histogram)")


def parsed(text: str) -> dict[str, float]:
    """Every sample by name and labels. Each is of a kind that was announced before, and comes once."""
    assert text.endswith("\n")
    announced: set[str] = set()
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            if (kind := TYPE.fullmatch(line)) is not None:
                assert kind[1] not in announced
                announced.add(kind[1])
            else:
                assert line.startswith("# HELP "), line
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample is not None, line
        base = re.sub(r"_(sum|count)$", "", sample[1])
        assert sample[1] in announced or base in announced, line
        key = sample[1] + (sample[2] or "")
        assert key not in found
        found[key] = float(sample[3])
    return found

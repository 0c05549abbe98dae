"""The command line as a tree: every command, and what each takes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from quatrefoil.cli import parser


def commands() -> dict[tuple[str, ...], argparse.ArgumentParser]:
    """Every command with its parser: ("plan",), ("ca", "init") and so on; () is ``quatrefoil`` itself."""
    return dict(_walk((), parser()))


def options(command: argparse.ArgumentParser) -> set[str]:
    """Every option string of a command."""
    return {text for action in command._actions for text in action.option_strings}


def uses(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every ``quatrefoil ...`` in a text, as (command, options); words that are no command are ("?", word)."""
    known = commands()
    for found in re.finditer(r"(?<![\"\w])quatrefoil ([a-z][a-z-]*)((?:\\\n|[^\n`&;])*)", text):
        name: tuple[str, ...] = (found[1],)
        if name not in known:
            yield ("?", found[1]), []
            continue
        for word in found[2].split():
            if (*name, word) not in known:
                break
            name = (*name, word)
        yield name, re.findall(r"(?<!\S)(--[a-z][a-z0-9-]*)", found[2])


def _walk(
    name: tuple[str, ...], command: argparse.ArgumentParser
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield name, command
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child, below in action.choices.items():
                yield from _walk((*name, child), below)

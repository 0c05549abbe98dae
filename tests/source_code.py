"""Python files of the tree, parsed."""

from __future__ import annotations

import ast
import gc


def parsed(source: str) -> ast.Module:
    """The syntax tree of ``source``.

    Without the garbage collector meanwhile: what it finalises may log a traceback, and CPython 3.11 parses lines to
    draw one. A parse within a parse is a SystemError there ("AST constructor recursion depth mismatch").
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if enabled:
            gc.enable()

"""A verdict on one page of HTML: what is claimed, on which evidence, what the check found, and what it cannot find."""

from quatrefoil.audit.report.page import render

__all__ = ["render"]

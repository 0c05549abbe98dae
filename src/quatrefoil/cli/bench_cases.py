"""Options of the benches that run whole workloads."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.bench.runs.cases import CASES


def add_case_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workload", action="append", choices=list(CASES), help="run this one; may be repeated (default: all)"
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="R", help="runs of what is quick (default: 5)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and rows: to see that it runs")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="plan with FILE instead of measuring this host")


__all__ = ["add_case_options"]

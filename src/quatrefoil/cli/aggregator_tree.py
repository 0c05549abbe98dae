"""Options of ``quatrefoil aggregator`` in a tree: of a group that goes up, and of who adds groups."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.errors import CallerError
from quatrefoil.federation.group_sums import upper_initial
from quatrefoil.federation.user_code import load_model
from quatrefoil.federation.vectors import Arrays, layout_of
from quatrefoil.parties.arguments import address
from quatrefoil.parties.options import add_enclave_option, add_pin_option
from quatrefoil.parties.relying import add_relying_options


def add_first_model_options(parser: argparse.ArgumentParser) -> None:
    """``--initial``, or ``--groups-of`` in its place."""
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--initial", metavar="SOURCE", help="first model: an .npz file or module:function")
    one.add_argument(
        "--groups-of",
        metavar="SOURCE",
        help="add sums of groups, in a tree: SOURCE is the first model of the groups, or how many values it has",
    )


def add_upper_options(parser: argparse.ArgumentParser) -> None:
    """Of a group's aggregator."""
    upper = parser.add_argument_group("a group, whose sums go up to another aggregator")
    upper.add_argument("--upper", type=address, metavar="HOST:PORT", help="where the upper aggregator listens")
    upper.add_argument("--upper-policy", type=Path, metavar="FILE", help="the policy of the upper job")
    upper.add_argument(
        "--upper-identity",
        type=Path,
        metavar="DIR",
        help="key and certificate of the silo that this group is there",
    )
    upper.add_argument(
        "--upper-root", type=Path, metavar="FILE", help="the root certificate of the upper job (default: --root)"
    )
    add_pin_option(upper, "the upper aggregator", "--upper-pin")
    add_enclave_option(upper, "--upper-enclave", "the upper keeper", "the upper policy")
    add_relying_options(upper, "upper-", "the upper policy", "the upper keeper")


def first_model(options: argparse.Namespace) -> Arrays:
    """What the job begins with."""
    if options.groups_of is None:
        return load_model(options.initial)
    if options.out is not None:
        raise CallerError(
            "--out is given with --groups-of, and an upper job has no model",
            hint="Take it from an aggregator of a group",
        )
    source = options.groups_of
    length = int(source) if source.isdecimal() else layout_of(load_model(source)).length
    if length < 1:
        raise CallerError("groups with models of 0 values have no sums", hint="Give --groups-of their number of values")
    return upper_initial(length)


__all__ = ["add_first_model_options", "add_upper_options", "first_model"]

"""``quatrefoil attest collateral``: fetch what verification needs from vendors, and show until when it holds.

``fetch`` is the one command of ``attest`` that calls anybody.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil.cli.attest_verify import read_evidence, read_time
from quatrefoil.cli.hexadecimal import octets
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.enclave.snp.tcb import LAYOUTS
from quatrefoil.endorsements import bundle, fetching, intel, needs, web
from quatrefoil.endorsements.bundle import Held
from quatrefoil.endorsements.fetching import Services
from quatrefoil.endorsements.needs import AUTHORITIES, AmdNeed, IntelNeed, Needs
from quatrefoil.errors import CallerError, HostError
from quatrefoil.output import add_json_option, console, only_json, progress_console, require_writable, table, write_json
from quatrefoil.transport import system_clock

NAME = "collateral"
HELP = "fetch what verification needs from vendors, and show until when it holds"
FETCH_SCHEMA = "quatrefoil.attest-collateral-fetch/1"
SHOW_SCHEMA = "quatrefoil.attest-collateral-show/1"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="collateral_what")
    said = (
        "ask vendors for the collateral of evidence, and put it into a folder; the only command here that calls anybody"
    )
    fetch = commands.add_parser("fetch", help=said, description=said)
    fetch.add_argument("evidence", metavar="EVIDENCE", type=Path, nargs="*", help="files with evidence; or name --kind")
    fetch.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the collateral")
    fetch.add_argument(
        "--kind",
        choices=("nvidia-cc", "sev-snp", "sgx", "tdx"),
        help="with EVIDENCE: bare reports of this kind; alone: see below",
    )
    fetch.add_argument("--refresh", action="store_true", help="fetch also what is there and holds")
    alone = fetch.add_argument_group("what to fetch where there is no evidence yet")
    alone.add_argument("--fmspc", metavar="HEX", help="tdx, sgx: family of platforms, 12 digits")
    alone.add_argument("--ca", choices=AUTHORITIES, help="tdx, sgx: who certifies the platforms (default: platform)")
    alone.add_argument("--product", choices=tuple(LAYOUTS), help="sev-snp: also for reports of version 2, without one")
    alone.add_argument("--key", choices=("vcek", "vlek"), help="sev-snp: kind of signing key (default: vcek)")
    alone.add_argument("--chip-id", metavar="HEX", help="sev-snp: chip whose VCEK to fetch, with --tcb")
    alone.add_argument("--tcb", metavar="HEX", help="sev-snp: its reported TCB version, 8 bytes as in a report")
    servers = fetch.add_argument_group("whom to ask")
    servers.add_argument("--pccs", metavar="URL", help="a cache of Intel's service, in place of it")
    servers.add_argument("--kds", metavar="URL", help="a mirror of AMD's service, in place of it")
    servers.add_argument("--rim", metavar="URL", help="a mirror of NVIDIA's service of manifests, in place of it")
    servers.add_argument(
        "--update",
        choices=intel.UPDATES,
        default="standard",
        help="which statements of Intel's: standard (default), or early",
    )
    servers.add_argument(
        "--authorities",
        metavar="FILE",
        type=Path,
        help="who else certifies the servers, PEM, beside the system's authorities",
    )
    add_json_option(fetch)
    fetch.set_defaults(collateral=_fetch)
    said = "show what a folder of collateral holds and until when; exit code 0 only if all of it holds"
    show = commands.add_parser("show", help=said, description=said)
    show.add_argument("folder", metavar="DIR", type=Path, help="folder with collateral")
    show.add_argument("--at", metavar="TIME", help="as of this time, as 2026-06-01T12:00Z (default: now)")
    add_json_option(show)
    show.set_defaults(collateral=_show)


def run(options: argparse.Namespace) -> None:
    options.collateral(options)


def _fetch(options: argparse.Namespace) -> None:
    require_writable(options.json)
    asked = _needs(options)
    client = web.Web(authorities=options.authorities, progress=_say)
    at = system_clock()
    outcome = fetching.fetch(
        asked.needs, options.out, client, at, services=_services(options), refresh=options.refresh, progress=_say
    )
    files = bundle.held(options.out) if bundle.exists(options.out) else ()
    content = {
        "folder": str(options.out),
        "fetched": list(outcome.fetched),
        "kept": list(outcome.kept),
        "notes": list(asked.notes),
        "files": [_json(one, at) for one in files],
    }
    write_json(options.json, FETCH_SCHEMA, content)
    if only_json(options):
        return
    out = console()
    if files:
        _draw(options.out, files, at)
    out.print(
        f"Fetched: {len(outcome.fetched)}. There already, and good: {len(outcome.kept)} (--refresh fetches anew)."
    )
    for note in asked.notes:
        out.print(note)


def _say(step: str) -> None:
    progress_console().print(escape(step))


def _needs(options: argparse.Namespace) -> Needs:
    alone = [name for name in ("fmspc", "ca", "key", "chip_id", "tcb") if getattr(options, name) is not None]
    if options.evidence:
        if alone:
            raise CallerError(
                f"--{alone[0].replace('_', '-')} stands beside EVIDENCE, which says it", hint="Leave it out"
            )
        return _of_files(options.evidence, options.kind, options.product)
    intels = options.kind in ("sgx", "tdx")
    wrong = [name for name in alone if (name in ("fmspc", "ca")) != intels]
    if (
        options.kind in (None, "nvidia-cc")
        or wrong
        or (intels and options.product)
        or not (options.fmspc or options.product)
    ):
        raise CallerError(
            "there is nothing to fetch for: no EVIDENCE, and no whole description of a platform",
            hint="Name files, or --kind tdx --fmspc HEX, or --kind sev-snp --product Genoa",
        )
    if intels:
        return Needs((IntelNeed(options.kind.upper(), options.fmspc.upper(), options.ca or "platform"),))
    chip, version = (octets(f"--{name.replace('_', '-')}", getattr(options, name) or "") for name in ("chip_id", "tcb"))
    return Needs((AmdNeed(options.product, options.key or "vcek", chip, version),))


def _of_files(files: Sequence[Path], kind: str | None, product: str | None) -> Needs:
    found = []
    for file in files:
        evidence = read_evidence(file, kind)
        each = (evidence.primary, *evidence.devices) if isinstance(evidence, EvidenceSet) else (evidence,)
        found += [needs.of(one, product) for one in each]
    wanted = [need for one in found for need in one.needs]
    return Needs(tuple(wanted), tuple(dict.fromkeys(note for one in found for note in one.notes)))


def _services(options: argparse.Namespace) -> Services:
    others: dict[str, str] = {"update": options.update}
    for name in ("kds", "rim"):
        if (url := getattr(options, name)) is not None:
            web.require_https(url, f"--{name}")
            others[name] = url.rstrip("/")
    if options.pccs is None:
        return Services(**others)
    web.require_https(options.pccs, "--pccs")
    return Services.with_cache(options.pccs, **others)


def _show(options: argparse.Namespace) -> None:
    require_writable(options.json)
    at = read_time(options.at) if options.at is not None else system_clock()
    files = bundle.held(options.folder)
    wrong = [(one, problem) for one in files for problem in one.problems(at)]
    dates = [part.until for one in files for part in one.parts if part.until is not None]
    content = {
        "folder": str(options.folder),
        "at": at.strftime(_TIME),
        "holds": not wrong,
        "until": min(dates).strftime(_TIME) if dates else None,
        "files": [_json(one, at) for one in files],
    }
    write_json(options.json, SHOW_SCHEMA, content)
    if not only_json(options):
        _draw(options.folder, files, at)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise HostError(
            f"{options.folder / wrong[0][0].name}: {wrong[0][1]}{more}",
            hint="Fetch it again with `quatrefoil attest collateral fetch`",
        )


def _draw(folder: Path, files: Sequence[Held], at: datetime) -> None:
    rows = []
    for one in files:
        first = (one.name, one.origin)
        # Names of issuers come from outside, and are no markup.
        for part in one.parts:
            state = "NO" if part.problem(at) else "yes"
            rows.append((*first, escape(part.name), f"{part.since:%Y-%m-%d}", _day(part.until), state))
            first = ("", "")
        if not one.parts:
            rows.append((*first, "no dates", "", "", ""))
    drawn = table(
        f"{folder} at {at:%Y-%m-%d %H:%M} UTC: collateral, believed by nobody for being there",
        ("file", "origin", "part", "from", "until", "holds"),
        rows,
    )
    for column in drawn.columns:
        column.justify = "left"
    console().print(drawn)


def _json(one: Held, at: datetime) -> dict[str, Any]:
    entry = one.entry
    return {
        "name": one.name,
        "origin": one.origin,
        "sha256": one.sha256,
        "what": entry.what if entry else None,
        "sources": list(entry.sources) if entry else [],
        "fetched_at": entry.fetched_at.strftime(_TIME) if entry else None,
        "parts": [
            {
                "name": part.name,
                "since": part.since.strftime(_TIME),
                "until": part.until.strftime(_TIME) if part.until else None,
                "holds": not part.problem(at),
            }
            for part in one.parts
        ],
        "problems": one.problems(at),
    }


def _day(moment: datetime | None) -> str:
    return "not said" if moment is None else f"{moment:%Y-%m-%d %H:%M}"

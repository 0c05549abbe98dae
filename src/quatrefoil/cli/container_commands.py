"""``seal``, ``open`` and ``inspect`` under ``quatrefoil model`` and ``quatrefoil data``."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.markup import escape

from quatrefoil import output, resources
from quatrefoil.cli import archives, containers
from quatrefoil.cli.hexadecimal import digest
from quatrefoil.errors import CallerError
from quatrefoil.parties.arguments import count
from quatrefoil.proven import ModelFolder
from quatrefoil.resources.container import (
    FILE,
    FORMS,
    TENSORS,
    About,
    Expected,
    Front,
    Owner,
    SealedModel,
    claimed_time,
    extract,
    opened_front,
    reading,
    root_of,
    seal,
    seen,
)
from quatrefoil.resources.kinds import BLINDED
from quatrefoil.state import SqliteState
from quatrefoil.transport import PostQuantumTransport, TrustAnchor, files, sealed, suites, system_clock


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser], kind: str) -> None:
    """The three commands for resources of one kind."""
    noun = containers.NOUNS[kind]

    sealing = commands.add_parser("seal", help=f"seal a {noun} together with the policy that governs its release")
    sealing.add_argument("file", type=Path, metavar="FILE", help=f"the {noun}")
    add_sealing(sealing)
    if kind == "model":
        sealing.add_argument(
            "--content", choices=FORMS, help="seal the tensors of an .npz, or a file as it is (default: by its name)"
        )
        sealing.add_argument(
            "--committed",
            type=Path,
            metavar="DIR",
            help="what `model commit` made of FILE: sign that its root commits to the weights in FILE",
        )
    archives.add_new_file(sealing, "the container")
    containers.add_threads(sealing)
    output.add_json_option(sealing)
    sealing.set_defaults(run=partial(_seal, kind))

    opening = commands.add_parser("open", help=f"verify a sealed {noun} and write what is in it")
    opening.add_argument("file", type=Path, metavar="FILE", help="the container")
    opening.add_argument("--key", required=True, type=Path, metavar="DIR", help="sealing key that it was sealed --to")
    archives.add_root(opening)
    opening.add_argument("--owner", required=True, metavar="NAME", help="refuse it unless this party sealed it")
    opening.add_argument("--name", required=True, metavar="NAME", help="refuse it unless it is called this")
    wanted = opening.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--expect", type=digest, metavar="ROOT", help="refuse any other root")
    wanted.add_argument("--least-serial", type=count, metavar="N", help="refuse an older one than number N")
    wanted.add_argument("--state", type=Path, metavar="DIR", help="refuse an older one than was opened with this state")
    opening.add_argument(
        "--owner-key", type=digest, default=b"", metavar="HEX", help="refuse another Ed25519 key of the owner"
    )
    containers.add_judgement(opening)
    archives.add_new_file(opening, "the content")
    containers.add_threads(opening)
    output.add_json_option(opening)
    opening.set_defaults(run=partial(_open, kind))

    add_inspect(commands, kind)


def add_sealing(parser: argparse.ArgumentParser) -> None:
    """What is sealed, whose it is, under which policy and for whom."""
    parser.add_argument("--name", required=True, metavar="NAME", help="what it is called from now on")
    parser.add_argument(
        "--serial", required=True, type=count, metavar="N", help="its number: higher than every one of this name before"
    )
    parser.add_argument("--policy", required=True, type=Path, metavar="FILE", help="the release policy")
    parser.add_argument(
        "--stage", action="append", metavar="NAME", help="release to this stage only; repeat (default: all in entry)"
    )
    archives.add_recipients(parser)
    archives.add_identity(parser)
    archives.add_root(parser)
    parser.add_argument(
        "--signing-key", required=True, type=Path, metavar="FILE", help="your Ed25519 key, from `model key`"
    )


def add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser], kind: str) -> None:
    noun = containers.NOUNS[kind]
    inspecting = commands.add_parser(
        "inspect", help=f"say what a sealed {noun} is and who may have it, without its key"
    )
    inspecting.add_argument("file", type=Path, metavar="FILE", help="the container")
    archives.add_root(inspecting)
    containers.add_judgement(inspecting)
    output.add_json_option(inspecting)
    inspecting.set_defaults(run=partial(_inspect, kind))


@dataclass(frozen=True)
class Sealing:
    """What :func:`add_sealing`'s options say."""

    about: About
    owner: Owner
    brokers: list[bytes]
    trust: TrustAnchor


def sealing_of(kind: str, options: argparse.Namespace, *, media: str) -> Sealing:
    trust = TrustAnchor.load(options.root)
    identity = archives.signer(options.identity, trust)
    security = PostQuantumTransport(identity, trust, clock=system_clock)
    brokers, policy = archives.recipients(options, trust), resources.load(options.policy)
    for one in brokers:
        suites.require_minimum(one.suite, sealed.named(options.minimum), archives.named(one))
    about = About(
        kind=kind,
        name=options.name,
        serial=options.serial,
        made_at=int(system_clock().timestamp()),
        stages=tuple(sorted(set(options.stage or policy.entry))),
        policy=policy,
        media=media,
    )
    owner = Owner(security.sign, security.verify, containers.signing_key(options.signing_key))
    return Sealing(about, owner, [one.public for one in brokers], trust)


def show_sealed(options: argparse.Namespace, trust: TrustAnchor) -> Front:
    """Read what was written, and show it."""
    made = claimed_time(trust, judged=sealed.Judged.NOW, clock=system_clock)
    with opened_front(options.out, made) as (_stream, front):
        _show(f"Sealed {options.out}", front, options)
    return front


def _seal(kind: str, options: argparse.Namespace) -> None:
    archives.no_stdout(options.out)
    given = sealing_of(kind, options, media=_media(options.file))
    about = given.about if kind != "model" or options.committed is None else _committed(options, given.about)
    salt = os.urandom(32) if kind in BLINDED else None
    with (
        reading(options.file, _form(kind, options), salt=salt) as content,
        sealed.new_file(options.out, mode=files.PUBLIC) as sink,
        containers.progress(f"sealing {options.file.name}", content.header.length) as progress,
    ):
        seal(
            content,
            sink,
            about=about,
            owner=given.owner,
            brokers=given.brokers,
            threads=options.threads,
            progress=progress,
        )
    front = show_sealed(options, given.trust)
    output.write_json(options.json, f"quatrefoil.{_word(kind)}-seal/1", containers.as_json(front))


def _committed(options: argparse.Namespace, about: About) -> About:
    """With the commitment to the file's weights, once it was made again from them: the owner signs nothing on the word
    of whoever made it."""
    folder = ModelFolder(options.committed)
    with reading(options.file, FILE, salt=None) as content:
        root = root_of(content)
    if folder.committed.model != root:
        raise CallerError(
            f"{options.committed} is a commitment to the weights of {folder.committed.model.hex()[:16]}, and "
            f"{options.file} is {root.hex()[:16]}",
            hint="Name the folder that `quatrefoil model commit` made of this very file",
        )
    folder.prover(options.threads)
    return replace(about, commitment=folder.commitment.root, openings=folder.commitment.openings)


def _open(kind: str, options: argparse.Namespace) -> None:
    archives.no_stdout(options.out)
    key = sealed.RecipientKey.load(options.key)
    expected = Expected(
        kind=kind,
        owner=options.owner,
        name=options.name,
        content=options.expect or b"",
        least_serial=options.least_serial or 1,
        ed25519=options.owner_key,
    )
    state = SqliteState(options.state / "state.sqlite") if options.state else None
    try:
        if state is not None:
            expected = seen.expecting(state, expected)
        with opened_front(options.file, containers.verifying(options)) as (stream, front):
            expected.require(front)
            resource_key = front.open_key(key)
            try:
                model = SealedModel(stream, front, resource_key, expected=expected)
            finally:
                resource_key[:] = bytes(len(resource_key))
        with model, containers.progress(f"opening {options.file.name}", model.length) as progress:
            if state is not None:
                seen.remember(state, front)  # before the content is there: a crash never forgets it
            extract(model, options.out, threads=options.threads, progress=progress)
    finally:
        if state is not None:
            state.close()
    _show(f"Opened {options.out}", front, options)
    output.write_json(options.json, f"quatrefoil.{_word(kind)}-open/1", containers.as_json(front))


def _inspect(kind: str, options: argparse.Namespace) -> None:
    with opened_front(options.file, containers.verifying(options)) as (_stream, front):
        if front.owned.resource.kind != kind:
            other = front.owned.resource.kind
            raise CallerError(
                f"{options.file} holds a {containers.NOUNS[other]}", hint=f"Use `quatrefoil {_word(other)} inspect`"
            )
    _show(f"{options.file}: signatures hold; the content has not been looked at", front, options)
    if not output.only_json(options):
        columns = ("stage", "appraisal policy", "longest lease", "renewal", "may put out")
        drawn = [tuple(map(escape, row)) for row in containers.policy_rows(front.owned.policy)]
        output.console().print(output.table("Release policy", columns, drawn))
    output.write_json(options.json, f"quatrefoil.{_word(kind)}-inspect/1", containers.as_json(front))


def _show(title: str, front: Front, options: argparse.Namespace) -> None:
    if not output.only_json(options):
        archives.show(title, containers.rows(front))


def _form(kind: str, options: argparse.Namespace) -> str:
    if kind != "model":
        return FILE
    return options.content or (TENSORS if options.file.suffix == ".npz" else FILE)


def _media(file: Path) -> str:
    """The suffix of the file's name, where it is a word."""
    word = file.suffix.removeprefix(".").lower()
    return word if word.isascii() and word.isalnum() and len(word) <= 16 else ""


def _word(kind: str) -> str:
    return "data" if kind == "dataset" else kind

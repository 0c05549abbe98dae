"""``quatrefoil model``: what names a model, where it comes from, what a silo committed to, and models sealed with the
policy that governs their release."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil import resources
from quatrefoil.audit.ancestry import Ancestry, Model, examine
from quatrefoil.audit.commitments import data_commitment, list_files
from quatrefoil.audit.dsse import LARGEST_ENVELOPE, Envelope, Verifier
from quatrefoil.audit.manifest import Manifest
from quatrefoil.audit.model_file import measure_file
from quatrefoil.audit.provenance import NOT_COMMITTED, read
from quatrefoil.cli.container_commands import add_commands
from quatrefoil.cli.containers import new_signing_key, policy_as_json, policy_rows
from quatrefoil.cli.model_commit import add_commit
from quatrefoil.cli.model_quantise import add_quantise
from quatrefoil.errors import CallerError, EvidenceRejected, HostError
from quatrefoil.federation.statements import JobDigest
from quatrefoil.output import add_json_option, console, only_json, table, write_json
from quatrefoil.parties.arguments import count
from quatrefoil.parties.silo import SALT
from quatrefoil.resources.container import FILE, FORMS, TENSORS, reading, root_of
from quatrefoil.state import SqliteState
from quatrefoil.transport import TrustAnchor, system_clock

NAME = "model"
HELP = "say where a model comes from, check it, seal it with its policy, compile it to integers, commit to its weights"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    verify = commands.add_parser("verify", help="check a model against the statement about it, and its ancestors")
    verify.add_argument("model", type=Path, metavar="MODEL", help="the .npz file that --out wrote")
    verify.add_argument("--provenance", required=True, type=Path, metavar="FILE", help="the statement about it")
    verify.add_argument("--trust", required=True, type=Path, metavar="FILE", help="the consortium's root certificate")
    verify.add_argument("--ancestry", type=Path, metavar="DIR", help="folder with the statements about earlier models")
    verify.add_argument(
        "--signatures", type=count, metavar="N", help="silos that must have signed (default: more than half)"
    )
    add_json_option(verify)
    verify.set_defaults(run=_verify)

    root = commands.add_parser("root", help="print the root that names a model, and its tensors")
    root.add_argument("model", type=Path, metavar="MODEL", help="the model")
    root.add_argument(
        "--content",
        choices=FORMS,
        default=TENSORS,
        help="name the tensors of an .npz, or a file as it is (default: %(default)s)",
    )
    add_json_option(root)
    root.set_defaults(run=_root)

    data = commands.add_parser("data", help="check that data is what a silo committed to")
    data.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="the data: --data, then each --commit")
    opening = data.add_mutually_exclusive_group(required=True)
    opening.add_argument("--state", type=Path, metavar="DIR", help="the silo's own state; shows the salt")
    opening.add_argument("--salt", type=_salt, metavar="HEX", help="the salt that the silo has shown")
    data.add_argument("--provenance", required=True, type=Path, metavar="FILE", help="the statement about the model")
    data.add_argument("--silo", required=True, metavar="NAME", help="whose data it is")
    add_json_option(data)
    data.set_defaults(run=_data)

    add_commands(commands, "model")
    add_quantise(commands)
    add_commit(commands)

    key = commands.add_parser("key", help="make the Ed25519 key that owners of sealed models also sign with")
    key.add_argument("file", type=Path, metavar="FILE", help="new file for the key, mode 0600")
    add_json_option(key)
    key.set_defaults(run=_key)

    policy = commands.add_parser("policy", help="check a release policy, and show its stages")
    policy.add_argument("file", type=Path, metavar="FILE", help="the policy")
    add_json_option(policy)
    policy.set_defaults(run=_policy)


def run(options: argparse.Namespace) -> None:
    options.run(options)


def _verify(options: argparse.Namespace) -> None:
    verifier = Verifier(TrustAnchor.load(options.trust), clock=system_clock)
    digest = JobDigest()
    manifest = measure_file(options.model, watch=digest.watch)
    found = examine(
        Model(manifest, digest.value),
        _read(options.provenance),
        _folder(options.ancestry),
        verifier=verifier,
        signatures=options.signatures,
    )
    if not only_json(options):
        _show(options.model, found)
    write_json(options.json, "quatrefoil.model-verify/1", _as_json(manifest, found))
    found.require()


def _show(model: Path, found: Ancestry) -> None:
    rows = [
        (check.name, str(check.generation), "yes" if check.passed else "NO", escape(check.detail))
        for check in found.checks
    ]
    title = escape(f"{model}: {'every check holds' if found.valid else 'NOT what it should be'}")
    drawn = table(title, ("check", "back", "holds", "detail"), rows)
    drawn.columns[3].justify = "left"
    console().print(drawn)


def _as_json(manifest: Manifest, found: Ancestry) -> dict[str, Any]:
    return {
        "valid": found.valid,
        "root": manifest.root.hex(),
        "checks": [vars(check) for check in found.checks],
        "generations": [
            {
                "job": one.predicate.job.name,
                "model": one.model.quatrefoil_model_v1.hex(),
                "insecure": list(one.predicate.parameters.insecure),
            }
            for one in found.generations
        ],
    }


def _root(options: argparse.Namespace) -> None:
    if options.content == FILE:
        _root_of_file(options)
        return
    manifest = measure_file(options.model)
    rows = [(escape(one.name), one.dtype, "x".join(map(str, one.shape)) or "scalar") for one in manifest.header.tensors]
    if not only_json(options):
        console().print(f"root    {manifest.root.hex()}\nsha256  {manifest.sha256.hex()}")
        console().print(table(f"{manifest.header.length:,} bytes", ("tensor", "type", "shape"), rows))
    write_json(
        options.json,
        "quatrefoil.model-root/1",
        {
            "root": manifest.root.hex(),
            "sha256": manifest.sha256.hex(),
            "bytes": manifest.header.length,
            "tensors": [
                {"name": one.name, "dtype": one.dtype, "shape": list(one.shape)} for one in manifest.header.tensors
            ],
        },
    )


def _root_of_file(options: argparse.Namespace) -> None:
    with reading(options.model, FILE, salt=None) as content:
        root = root_of(content)
    if not only_json(options):
        console().print(f"root    {root.hex()}\nbytes   {content.header.length:,}, as they are")
    write_json(options.json, "quatrefoil.model-root/1", {"root": root.hex(), "bytes": content.header.length})


def _key(options: argparse.Namespace) -> None:
    public = new_signing_key(options.file)
    if not only_json(options):
        console().print(f"{escape(str(options.file))}: an Ed25519 key; give others its public half\n{public.hex()}")
    write_json(options.json, "quatrefoil.model-key/1", {"ed25519": public.hex()})


def _policy(options: argparse.Namespace) -> None:
    policy = resources.load(options.file)
    if not only_json(options):
        columns = ("stage", "appraisal policy", "longest lease", "renewal", "may put out")
        drawn = [tuple(map(escape, row)) for row in policy_rows(policy)]
        console().print(table(escape(f"{policy.name}, SHA-256 {policy.digest().hex()}"), columns, drawn))
    write_json(options.json, "quatrefoil.model-policy/1", policy_as_json(policy))


def _data(options: argparse.Namespace) -> None:
    statement = read(Envelope.decode(_read(options.provenance)))
    silo = next((one for one in statement.predicate.silos if one.name == options.silo), None)
    if silo is None:
        raise CallerError(f"the statement names no silo {options.silo}", hint="Name one of its silos")
    if silo.data is None:
        raise EvidenceRejected(f"data of {silo.name}: {NOT_COMMITTED}", hint="There is nothing to check it against")
    salt = options.salt if options.salt is not None else _salt_of(options.state)
    listing = list_files(options.paths)
    if data_commitment(listing, salt) != silo.data:
        raise EvidenceRejected(
            f"the {len(listing.files)} files are not what {silo.name} committed to, or the salt is another",
            hint="Give the same files and folders, by the same names, as when the silo enrolled",
        )
    if not only_json(options):
        console().print(
            f"{len(listing.files)} files are what {escape(silo.name)} committed to\nsalt  {salt.hex()}\n"
            "Whether the statement is signed is for `quatrefoil model verify`."
        )
    files = [{"path": one.path, "sha256": one.sha256.hex(), "size": one.size} for one in listing.files]
    write_json(
        options.json,
        "quatrefoil.model-data/1",
        {"silo": silo.name, "commitment": silo.data.hex(), "salt": salt.hex(), "files": files},
    )


def _salt(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no hexadecimal") from None


def _salt_of(folder: Path) -> bytes:
    file = folder / "state.sqlite"
    if not file.is_file():
        raise HostError(f"there is no state in {folder}", hint="Name the silo's --state folder")
    state = SqliteState(file)
    try:
        salt = state.get(SALT)
    finally:
        state.close()
    if salt is None:
        raise HostError(f"{folder} holds no salt", hint="Name the --state of a silo that has enrolled")
    return salt


def _folder(folder: Path | None) -> Sequence[bytes]:
    if folder is None:
        return ()
    if not folder.is_dir():
        raise HostError(f"there is no folder {folder}", hint="Name the folder with earlier statements")
    return [_read(file) for file in sorted(folder.glob("*.json")) if file.is_file()]


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_ENVELOPE + 1)
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint="Name a file that you may read") from None

"""``quatrefoil broker root``: the root key of a broker, its backup and its recovery."""

from __future__ import annotations

import argparse
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from quatrefoil.audit import TileLog
from quatrefoil.broker import root_ceremony, root_log, root_recovery, root_stage
from quatrefoil.broker.root_ceremony import Held
from quatrefoil.broker.root_file import FileRootKey, wipe
from quatrefoil.broker.root_key import KEY_BYTES
from quatrefoil.broker.root_pkcs11 import generate_key, import_key
from quatrefoil.broker.root_recovery import HandedOver, Recovered
from quatrefoil.broker.root_token import pin_from
from quatrefoil.cli import archives, broker_root_show, root_place
from quatrefoil.cli import broker_root_options as options
from quatrefoil.cli.root_place import add_root_key, open_root_key
from quatrefoil.errors import CallerError, HostError, QuatrefoilError
from quatrefoil.transport import Identity, TrustAnchor, files, sealed, system_clock


def configure(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``root`` to the commands of ``quatrefoil broker``; each action sets ``action``."""
    text = "make, split, recover and show the root key"
    actions = commands.add_parser("root", help=text, description=text).add_subparsers(metavar="ACTION", required=True)

    new = _add(actions, "new", "make a root key, and give each operator a sealed share of it", _new)
    options.add_out(new, "the statement and the sealed shares")
    options.add_party(new)
    options.add_destination(new)
    options.add_operators(new, required=False)
    new.add_argument(
        "--no-backup", action="store_true", help="with --token: let the token make the key, which no one can recover"
    )

    share = _add(actions, "share", "split the same root key anew, for other operators or another threshold", _share)
    options.add_out(share, "the statement and the sealed shares")
    options.add_party(share)
    share.add_argument("--root-key", type=Path, metavar="FILE", help="the root key, where it is in a file")
    options.add_handed_over(share, required=False)
    options.add_operators(share, required=True)

    recover = _add(
        actions, "recover", "put a root key together from operators' shares, into a token or a file", _recover
    )
    options.add_out(recover, "the statement of the recovery")
    options.add_party(recover)
    options.add_handed_over(recover, required=True)
    options.add_destination(recover)

    broker_root_show.configure(actions)

    log = _add(actions, "log", "write the statement of a ceremony or a recovery into the broker's log", _log)
    log.add_argument("statement", metavar="STATEMENT", type=Path, help="what `root new`, `share` or `recover` wrote")
    options.add_party(log)


def _add(actions: argparse._SubParsersAction[Any], name: str, text: str, action: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.set_defaults(action=action)
    return parser


# ------------------------------------------------------------------------------------------------------- actions


def _new(args: argparse.Namespace) -> None:
    trust = TrustAnchor.load(args.root)
    holder = archives.signer(args.identity, trust)
    if args.no_backup:
        _new_without_backup(args, holder, trust)
        return
    if not args.to or args.threshold is None:
        raise CallerError(
            "a root key without operators cannot be recovered",
            hint="Give --threshold and a sealing certificate --to for each operator, or --token with --no-backup",
        )
    _check_destination(args)
    if _resumed(args, "new", trust):
        return
    operators = [archives.certified(file, trust) for file in args.to]
    key = bytearray(os.urandom(KEY_BYTES))
    root = FileRootKey(key)
    try:
        made = root_ceremony.hold(
            key,
            root.identity(),
            threshold=args.threshold,
            operators=operators,
            holder=holder,
            minimum=sealed.named(args.minimum),
            clock=system_clock,
            lifetime=_lifetime(args),
        )
        _publish(args, "new", root, key, _files_of(made))
    finally:
        wipe(key)
        root.close()
    _done(args, args.out / root_stage.STATEMENT, holder, trust)


def _new_without_backup(args: argparse.Namespace, holder: Identity, trust: TrustAnchor) -> None:
    if args.token is None or args.to or args.threshold is not None:
        raise CallerError(
            "--no-backup is for a key that a token makes, without operators", hint="Give --token, and no --to"
        )
    files.require_absent(args.out)
    identity = generate_key(root_place.token_place(args), pin_from(args.pin_file))
    made = root_ceremony.without_backup(identity, holder=holder, clock=system_clock)
    files.write_new_directory(args.out, _placed(args) | _files_of(made))
    _done(args, args.out / root_stage.STATEMENT, holder, trust)


def _share(args: argparse.Namespace) -> None:
    trust = TrustAnchor.load(args.root)
    holder = archives.signer(args.identity, trust)
    operators = [archives.certified(file, trust) for file in args.to]
    files.require_absent(args.out)
    root_stage.resume(args.out, "share", _place(args), lambda _: False)
    held: Held | None = None
    content = _placed(args)
    if (args.root_key is None) == (args.ceremony is None):
        raise CallerError(
            "the key to split is in a file, or comes from operators' shares",
            hint="Give --root-key, or --ceremony with --share and --key",
        )
    if args.root_key is not None:
        loaded = FileRootKey.load(args.root_key)
        identity, key = loaded.identity(), loaded.reveal()
        loaded.close()
    else:
        held, recovered = _put_together(args, trust)
        identity, key = held.ceremony.root, recovered.key
    try:
        if held is not None:
            said = root_recovery.state(recovered, held, "share", holder, clock=system_clock)
            content[root_stage.RECOVERY] = (said, files.PUBLIC)
        made = root_ceremony.hold(
            key,
            identity,
            threshold=args.threshold,
            operators=operators,
            holder=holder,
            minimum=sealed.named(args.minimum),
            clock=system_clock,
            lifetime=_lifetime(args),
            previous=b"" if held is None else held.ceremony.digest(),
        )
    finally:
        wipe(key)
    root_stage.publish(args.out, "share", content | _files_of(made), lambda: None)
    if held is not None:
        _append(args, args.out / root_stage.RECOVERY, holder, trust)
    _done(args, args.out / root_stage.STATEMENT, holder, trust)
    print("The shares before still give the key: have every operator destroy theirs.")


def _recover(args: argparse.Namespace) -> None:
    trust = TrustAnchor.load(args.root)
    holder = archives.signer(args.identity, trust)
    _check_destination(args)
    if _resumed(args, "recover", trust):
        return
    held, recovered = _put_together(args, trust)
    root = FileRootKey(recovered.key)
    try:
        said = root_recovery.state(recovered, held, "recover", holder, clock=system_clock)
        _publish(args, "recover", root, recovered.key, {root_stage.RECOVERY: (said, files.PUBLIC)})
    finally:
        wipe(recovered.key)
        root.close()
    _done(args, args.out / root_stage.RECOVERY, holder, trust)


def _log(args: argparse.Namespace) -> None:
    trust = TrustAnchor.load(args.root)
    if args.state is None:
        raise CallerError("no log is named", hint="Give --state, the broker's folder")
    written = _append(args, args.statement, archives.signer(args.identity, trust), trust)
    print("written" if written else "it is in the log already")


# --------------------------------------------------------------------------------------------------------- steps


def _put_together(args: argparse.Namespace, trust: TrustAnchor) -> tuple[Held, Recovered]:
    """The key of --ceremony from every --share, as --key opens them."""
    if not args.share or args.key is None or args.root_identity is None:
        raise CallerError(
            "shares of a root key that is known are opened with the sealing key that they were handed over to",
            hint="Give --share, --key and --root-identity",
        )
    held = root_ceremony.verify(files.read(args.ceremony, "statement"), trust, clock=system_clock)
    recovered = root_recovery.recover(
        held,
        [HandedOver(label=file.name, content=files.read(file, "share")) for file in args.share],
        key=sealed.RecipientKey.load(args.key),
        trust=trust,
        clock=system_clock,
        accept_expired=args.accept_expired,
        root=args.root_identity,
    )
    return held, recovered


def _publish(
    args: argparse.Namespace,
    purpose: str,
    root: FileRootKey,
    key: bytearray,
    content: dict[str, tuple[bytes | bytearray, int]],
) -> None:
    """``content`` in the new folder, with the key in it, or in the token."""
    content = content | _placed(args)
    if args.token is None:
        encoded = root.encoded()
        try:
            root_stage.publish(args.out, purpose, content | {root_stage.KEY: (encoded, files.PRIVATE)}, lambda: None)
        finally:
            wipe(encoded)
        return
    place, pin = root_place.token_place(args), pin_from(args.pin_file)
    root_stage.publish(args.out, purpose, content, lambda: import_key(place, pin, key, root.identity()))


def _resumed(args: argparse.Namespace, purpose: str, trust: TrustAnchor) -> bool:
    """Whether an attempt that was killed is finished now; whatever else it left is cleared away."""

    def installed(signed: bytes) -> bool:
        return args.token is not None and root_log.root_of(signed, trust, clock=system_clock) in root_place.held(args)

    if not root_stage.resume(args.out, purpose, _place(args), installed):
        return False
    name = root_stage.STATEMENT if (args.out / root_stage.STATEMENT).exists() else root_stage.RECOVERY
    print("An earlier attempt was interrupted after the key was in the token: it is finished now, as it was asked for.")
    _done(args, args.out / name, archives.signer(args.identity, trust), trust)
    return True


def _place(args: argparse.Namespace) -> str:
    """Where the command leaves the key, in words."""
    if getattr(args, "token", None) is not None:
        return str(root_place.token_place(args))
    return f"the file {root_stage.KEY} in this folder" if getattr(args, "in_file", False) else "no new place"


def _placed(args: argparse.Namespace) -> dict[str, tuple[bytes | bytearray, int]]:
    return {root_stage.PLACE: (f"{_place(args)}\n".encode(), files.PUBLIC)}


def _files_of(made: root_ceremony.Made) -> dict[str, tuple[bytes | bytearray, int]]:
    found: dict[str, tuple[bytes | bytearray, int]] = {root_stage.STATEMENT: (made.signed, files.PUBLIC)}
    for name, content in made.sealed_shares.items():
        found[name + root_stage.SHARES] = (content, files.PUBLIC)
    return found


def _done(args: argparse.Namespace, statement: Path, holder: Identity, trust: TrustAnchor) -> None:
    """Print what the statement says, and log it where a log is named."""
    broker_root_show.print_statement(statement, trust)
    if args.state is not None:
        _append(args, statement, holder, trust)
    else:
        print(f"Write {statement} into the broker's log with `quatrefoil broker root log`.")


def _append(args: argparse.Namespace, statement: Path, holder: Identity, trust: TrustAnchor) -> bool:
    if args.state is None:
        return False
    try:
        with TileLog(args.state, holder, trust) as log:
            return root_log.append(log, files.read(statement, "statement"), trust, clock=system_clock)
    except QuatrefoilError as error:
        raise HostError(
            f"{statement} is not in the log: {error.problem}",
            hint=f"{error.hint}; then `quatrefoil broker root log`: nothing else is to be done again",
        ) from None


def _check_destination(args: argparse.Namespace) -> None:
    if args.in_file == (args.token is not None):
        raise CallerError("a root key is kept in a token or in a file", hint="Give --token, or --in-file")
    if args.token is not None:
        root_place.held(args)  # the token is there and takes the PIN, before anybody is asked for anything


def _lifetime(args: argparse.Namespace) -> timedelta:
    if not 1 <= args.days <= 36500:
        raise CallerError(f"{args.days} days is no lifetime", hint="Give --days between 1 and 36500")
    return timedelta(days=args.days)


__all__ = ["add_root_key", "configure", "open_root_key"]

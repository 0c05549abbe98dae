"""``quatrefoil rewrap``: a sealed file for other recipients; or a classical archive, sealed at last."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import BinaryIO, cast

from quatrefoil.cli import archives
from quatrefoil.errors import CallerError, HostError
from quatrefoil.transport import Identity, TrustAnchor, cms, files, sealed, system_clock

NAME = "rewrap"
HELP = "wrap a sealed file to other recipients without touching its content, or seal a classical CMS archive anew"


def configure(parser: argparse.ArgumentParser) -> None:
    archives.add_file(parser, "a file that `quatrefoil seal` wrote, or a CMS archive")
    old = parser.add_mutually_exclusive_group(required=True)
    old.add_argument("--key", type=Path, metavar="DIR", help="a sealing key that the file opens with")
    old.add_argument(
        "--from-cms", type=Path, metavar="KEY", help="the RSA or elliptic-curve key (PEM) that a CMS archive opens with"
    )
    parser.add_argument("--cms-certificate", type=Path, metavar="FILE", help="with --from-cms: its certificate (PEM)")
    archives.add_recipients(parser)
    archives.add_identity(parser)
    archives.add_root(parser)
    archives.add_context(parser)
    archives.add_judgement(parser)
    archives.add_new_file(parser, "the rewrapped file")


def run(args: argparse.Namespace) -> None:
    archives.no_stdout(args.out)
    classical = args.from_cms is not None
    if classical and (args.cms_certificate is None or args.sender or args.at_claimed_time):
        raise CallerError(
            "--from-cms goes with --cms-certificate, and without --from and --at-claimed-time",
            hint="The archive names its recipients by certificate, and is signed by nobody",
        )
    if not classical and (args.cms_certificate or args.context):
        raise CallerError(
            "--cms-certificate and --context go with --from-cms", hint="The context of a sealed file stays as it is"
        )
    trust = TrustAnchor.load(args.root)
    signer, chosen = archives.signer(args.identity, trust), archives.recipients(args, trust)
    (_migrate if classical else _rewrap)(args, trust, signer, chosen)


def _rewrap(args: argparse.Namespace, trust: TrustAnchor, wrapper: Identity, chosen: list[sealed.Recipient]) -> None:
    key = sealed.RecipientKey.load(args.key)
    with archives.reading(args.file) as source, sealed.new_file(args.out, mode=files.PUBLIC) as sink:
        done = sealed.rewrap(
            source,
            sink,
            key=key,
            recipients=chosen,
            wrapper=wrapper,
            trust=trust,
            sender=args.sender,
            minimum=sealed.named(args.minimum),
            judged=archives.judged(args),
            clock=system_clock,
        )
    gone = set(done.former) - {one.fingerprint for one in chosen}
    rows = [("content of", f"{done.sender.name} ({done.sender.role})"), ("wrapped before by", done.wrapper.name)]
    rows += [("can read it", archives.named(one)) for one in chosen]
    rows += [("no longer named", fingerprint.hex()[:16]) for fingerprint in sorted(gone)]
    archives.show(f"Rewrapped {args.out}", rows)
    if gone:
        print("Whoever is no longer named can still read every copy of the old file.")


def _migrate(args: argparse.Namespace, trust: TrustAnchor, sender: Identity, chosen: list[sealed.Recipient]) -> None:
    """Decrypted and sealed in one stream: the content is never on disk, and the new file only if all of it came out."""
    holder = cms.ClassicalKey.read(
        files.read_private(args.from_cms, "classical key"), files.read(args.cms_certificate, "certificate")
    )
    with archives.reading(args.file) as source, sealed.new_file(args.out, mode=files.PUBLIC) as sink:
        archive = cms.open_archive(source, holder)
        content = _Hashing(archive.content)
        done = sealed.seal(
            cast(BinaryIO, content),
            sink,
            recipients=chosen,
            sender=sender,
            context=args.context.encode(),
            minimum=sealed.named(args.minimum),
            clock=system_clock,
        )
    rows = [("decrypted from", archive.cipher), ("bytes of content", f"{done.size:,}")]
    rows += [("SHA-256 of content", content.digest.hexdigest())]
    rows += [("can read it", archives.named(one)) for one in chosen]
    rows += [
        ("opened again with", path.name)
        for path in args.to
        if path.is_dir() and _reads_back(args, trust, path, content)
    ]
    archives.show(f"Sealed {args.out}", rows)
    if not archive.authentic:
        print(f"{archive.cipher} has no integrity: compare the content with what you know of it before you rely on it.")
    print("Whoever recorded the old archive can open it with a quantum computer. Destroy its copies.")


def _reads_back(args: argparse.Namespace, trust: TrustAnchor, folder: Path, content: _Hashing) -> bool:
    """True, or ``HostError``: the new file opens, to the same content, with a key that is at hand."""
    digest = _Hashing(None)
    with args.out.open("rb") as source:
        sealed.open_early(
            source,
            cast(BinaryIO, digest),
            key=sealed.RecipientKey.load(folder),
            trust=trust,
            sender=None,
            context=args.context.encode(),
            judged=sealed.Judged.NOW,
            clock=system_clock,
        )
    if digest.digest.digest() != content.digest.digest():
        raise HostError(f"{args.out} does not read back as it was written", hint="Keep the archive; check the disk")
    return True


class _Hashing:
    """A stream that is hashed (SHA-256) as it passes: read from another, or written to nowhere."""

    def __init__(self, inner: BinaryIO | None) -> None:
        self._inner = inner
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        assert self._inner is not None
        piece = self._inner.read(size)
        self.digest.update(piece)
        return piece

    def write(self, piece: bytes) -> int:
        self.digest.update(piece)
        return len(piece)

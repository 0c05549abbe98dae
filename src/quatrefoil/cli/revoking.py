"""Which certificate ``quatrefoil ca revoke`` means: by party, by serial number, or by the certificate itself."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from cryptography import x509

from quatrefoil.errors import CallerError, HostError
from quatrefoil.transport import CertificateAuthority, files, profile
from quatrefoil.transport.identity import CERTIFICATE_FILE


def choose(ca: CertificateAuthority, what: str, *, every: bool, at: datetime) -> list[x509.Certificate]:
    """The certificates that ``what`` names. ``every``: all of a party's that are valid at ``at``; else it must be one.

    ``CallerError`` when there is none, or several and ``every`` was not said.
    """
    if what.endswith(".pem") or os.sep in what:
        return [read_certificate(Path(what))]
    issued = ca.issued()
    by_serial = [one for one in issued if f"{one.serial_number:x}" == what.lower().lstrip("0")]
    by_name = [one for one in issued if profile.named_in(one)[0] == what]
    if by_serial:
        return by_serial
    if not by_name:
        raise CallerError(
            f"nothing was issued here to {what[:80]!r}, nor under that serial number",
            hint="Name the party, the serial number that `quatrefoil ca show` prints, or the certificate.pem",
        )
    taken = ca.trust.lists
    named = {serial for one in taken for serial in one.entries}
    open_ = [one for one in by_name if one.not_valid_after_utc >= at and one.serial_number not in named]
    if not open_:
        raise CallerError(
            f"every certificate of {what!r} has expired or is revoked",
            hint="Name one by its serial number, to revoke it for another reason",
        )
    if len(open_) > 1 and not every:
        shown = ", ".join(f"{one.serial_number:x} ({profile.named_in(one)[1]})" for one in open_)
        raise CallerError(
            f"{what!r} has {len(open_)} valid certificates: {shown}", hint="Name one by its serial number, or add --all"
        )
    return open_


def read_certificate(path: Path) -> x509.Certificate:
    """The certificate in a PEM file, or in the folder of an identity."""
    file = path / CERTIFICATE_FILE if path.is_dir() else path
    try:
        return x509.load_pem_x509_certificate(files.read(file, "certificate"))
    except ValueError:
        raise HostError(f"{file} is not a PEM certificate", hint="Name a certificate.pem or root.pem") from None

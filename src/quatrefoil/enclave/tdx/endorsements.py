"""What Intel says about a platform: TCB info, the quoting enclave's identity, and revocation lists, with their dates.

One JSON document holds all of it, by the names of DCAP's ``sgx_ql_qve_collateral_t``: nine fields, of which chains are
PEM, the two statements are JSON in a string, and the rest is hexadecimal. Source: Intel "Provisioning Certification
Service" API version 4. Nothing in it is believed before :mod:`quatrefoil.enclave.tdx.platform` has verified it; it is
read here to be chosen, and to say which part expired when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from quatrefoil.enclave import certificates
from quatrefoil.errors import EvidenceRejected, HostError

Found = TypeVar("Found")

_HINT = "Fetch the collateral of this platform again, all parts at once"


@dataclass(frozen=True)
class Endorsements:
    """One document. Chains and statements are text as Intel wrote it; lists and signatures are bytes."""

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: bytes

    @property
    def tee(self) -> str:
        """ "SGX" or "TDX"."""
        return str(_statement(self.tcb_info, "TCB info").get("id"))

    @property
    def fmspc(self) -> str:
        """The family of platforms that it is about: six bytes in hexadecimal, upper case."""
        return str(_statement(self.tcb_info, "TCB info").get("fmspc")).upper()

    @property
    def issued(self) -> datetime:
        return _date(_statement(self.tcb_info, "TCB info").get("issueDate"), "TCB info")

    def periods(self) -> Iterator[tuple[str, datetime, datetime | None]]:
        """Every dated part: its name, from when and until when it holds."""
        for name, text in (("TCB info", self.tcb_info), ("identity of the quoting enclave", self.qe_identity)):
            statement = _statement(text, name)
            yield name, _date(statement.get("issueDate"), name), _date(statement.get("nextUpdate"), name)
        for name, der in (("root's revocation list", self.root_ca_crl), ("PCK revocation list", self.pck_crl)):
            found = _read(name, partial(_dates_of_list, der))
            yield name, *found
        for name, pem in (
            ("issuer of the PCK revocation list", self.pck_crl_issuer_chain),
            ("issuer of the TCB info", self.tcb_info_issuer_chain),
            ("issuer of the quoting enclave's identity", self.qe_identity_issuer_chain),
        ):
            for since, until in _read(name, partial(_dates_of_chain, pem)):
                yield name, since, until


def choose(documents: Mapping[str, bytes], tee: str, fmspc: str) -> Endorsements | None:
    """The document for platforms ``fmspc`` of ``tee``, the one issued last of several; ``None`` where there is none.

    Documents with other fields are somebody else's. One with these fields that cannot be read is ``HostError``: the
    relying party brought it.
    """
    found = [one for name, data in documents.items() if (one := read(name, data)) is not None]
    fitting = [one for one in found if (one.tee, one.fmspc) == (tee, fmspc)]
    return max(fitting, key=lambda one: one.issued, default=None)


def read(name: str, data: bytes) -> Endorsements | None:
    """The document ``name``, ``None`` where it has other fields, or ``HostError``."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    names = [field.name for field in fields(Endorsements)]
    if not isinstance(value, dict) or not set(names) <= set(value):
        return None
    parts: dict[str, Any] = {}
    for field in fields(Endorsements):
        part = value[field.name]
        if not isinstance(part, str):
            raise HostError(f"{field.name} in {name}.json is not text", hint=_HINT)
        parts[field.name] = part if field.type == "str" else _read(field.name, partial(bytes.fromhex, part))
    return Endorsements(**parts)


def outside(periods: Iterator[tuple[str, datetime, datetime | None]], at: datetime) -> list[str]:
    """Which parts do not hold at ``at``, and since or until when."""
    wrong = []
    for name, since, until in periods:
        if at < since:
            wrong.append(f"the {name} holds from {_written(since)} on")
        elif until is None:
            wrong.append(f"the {name} does not say until when it holds")
        elif at > until:
            wrong.append(f"the {name} expired on {_written(until)}")
    return wrong


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _statement(text: str, name: str) -> dict[str, Any]:
    value = _read(name, lambda: json.loads(text))
    if not isinstance(value, dict):
        raise HostError(f"the {name} in the collateral is no JSON object", hint=_HINT)
    return value


def _date(value: object, name: str) -> datetime:
    found = _read(f"date of the {name}", lambda: datetime.fromisoformat(str(value)))
    if found.tzinfo is None:
        raise HostError(f"a date of the {name} in the collateral has no time zone", hint=_HINT)
    return found


def _dates_of_list(der: bytes) -> tuple[datetime, datetime | None]:
    found = certificates.parse_crl(der)
    return found.last_update_utc, found.next_update_utc


def _dates_of_chain(pem: str) -> list[tuple[datetime, datetime]]:
    chain = certificates.parse_pem(pem.encode())
    return [(certificate.not_valid_before_utc, certificate.not_valid_after_utc) for certificate in chain]


def _read(name: str, read: Callable[[], Found]) -> Found:
    """What ``read`` gives. What is wrong with it is the relying party's fault: it brought it."""
    try:
        return certificates.reading(name, read)
    except (EvidenceRejected, RecursionError):
        raise HostError(f"the {name} in the collateral cannot be read", hint=_HINT) from None


__all__ = ["Endorsements", "choose", "outside", "read"]

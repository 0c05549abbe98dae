"""A ceremony of three operators, two of whom give the key back, and what each of them and others may hand over."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import timedelta

from quatrefoil.broker import root_ceremony, root_recovery
from quatrefoil.broker.root_ceremony import Held, Made
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_recovery import HandedOver, Recovered
from quatrefoil.transport import Clock, Identity, sealed, system_clock
from quatrefoil.transport.sealed import HYBRID_768, Judged, RecipientKey
from support import Consortium

KEY = bytearray(range(32))
ROOT = FileRootKey(KEY).identity()
OPERATORS = ("anna", "bruno", "carla")


class Ceremonies:
    """Makes ceremonies, and hands shares over to ``recovering``, the key of the machine that recovers."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.holder = consortium.identity("vault", "keeper")
        self.keys = {name: RecipientKey.generate(HYBRID_768) for name in OPERATORS}
        self.recovering = RecipientKey.generate(HYBRID_768)

    def operator(self, name: str) -> Identity:
        return self.consortium.identity(name, "auditor")

    def recipient(self, name: str) -> sealed.Recipient:
        certificate = sealed.certify(self.keys[name], self.operator(name))
        return sealed.verify_recipient(certificate, self.consortium.trust, clock=system_clock)

    def hold(
        self,
        key: bytearray = KEY,
        *,
        root: bytes = ROOT,
        threshold: int = 2,
        operators: Sequence[str] = OPERATORS,
        holder: Identity | None = None,
        clock: Clock = system_clock,
        lifetime: timedelta = timedelta(days=30),
        previous: bytes = b"",
    ) -> Made:
        return root_ceremony.hold(
            bytearray(key),
            root,
            threshold=threshold,
            operators=[self.recipient(name) for name in operators],
            holder=holder or self.holder,
            minimum=HYBRID_768,
            clock=clock,
            lifetime=lifetime,
            previous=previous,
        )

    def verified(self, made: Made) -> Held:
        return root_ceremony.verify(made.signed, self.consortium.trust, clock=system_clock)

    def hand_over(
        self, made: Made, name: str, *, by: Identity | None = None, to: RecipientKey | None = None
    ) -> HandedOver:
        """The share of ``name``, rewrapped by her (or by whoever has her key) to the recovering machine."""
        sink = io.BytesIO()
        sealed.rewrap(
            io.BytesIO(made.sealed_shares[name]),
            sink,
            key=self.keys[name],
            recipients=[(to or self.recovering).recipient],
            wrapper=by or self.operator(name),
            trust=self.consortium.trust,
            sender=None,
            minimum=HYBRID_768,
            judged=Judged.AT_CLAIMED_TIME,
            clock=system_clock,
        )
        return HandedOver(f"{name}.handed", sink.getvalue())

    def recover(
        self,
        held: Held,
        handed: Sequence[HandedOver],
        *,
        key: RecipientKey | None = None,
        clock: Clock = system_clock,
        accept_expired: bool = False,
        root: bytes = ROOT,
    ) -> Recovered:
        return root_recovery.recover(
            held,
            handed,
            key=key or self.recovering,
            trust=self.consortium.trust,
            clock=clock,
            accept_expired=accept_expired,
            root=root,
        )

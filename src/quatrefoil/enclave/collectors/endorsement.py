"""The machine's side of credential activation (``enclave.tpm.activation``), with ``tpm2-tools``."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.enclave import certificates
from quatrefoil.enclave.collectors.tpm_tools import DEVICE, TpmTools
from quatrefoil.enclave.tpm import credential
from quatrefoil.errors import EvidenceRejected, HostError

RSA_CERTIFICATE, ECC_CERTIFICATE = "0x01c00002", "0x01c0000a"
"""NV indices of certificates of the RSA-2048 and the P-256 EK (TCG EK Credential Profile, section 2.2.1.4)."""

_USER_WITH_AUTH = 1 << 6
_CREDENTIAL_HEADER = bytes.fromhex("badcc0de00000001")
"""What ``tpm2-tools`` puts before the two structures of a credential in a file: a magic number and a version."""


@dataclass(frozen=True)
class EndorsedTpm:
    """The TPM at ``tcti`` with the endorsement key ``endorsement`` and the attestation key ``key``: each a persistent
    handle or a context file."""

    endorsement: str
    key: str
    tcti: str = DEVICE

    def public(self) -> bytes:
        """The TPMT_PUBLIC of the attestation key."""
        return self._public(self.key)

    def certificate(self, index: str = RSA_CERTIFICATE) -> bytes:
        """The certificate in the NV index ``index``, in DER; ``HostError`` where there is none."""
        data = self._tools().run("tpm2_nvread", "-C", "o", index, about=f"the NV index {index}")
        der = _der(data)
        try:
            certificates.parse(der)
        except EvidenceRejected as refusal:
            hint = "Name the index of another endorsement key, or fetch the certificate from the TPM's maker"
            raise HostError(f"the NV index {index} holds no certificate: {refusal.problem}", hint=hint) from None
        return der

    def answer(self, blob: bytes) -> bytes:
        """The secret in the challenge ``blob``, or ``HostError`` where it is not for this TPM and key."""
        identity, secret = credential.split(blob)
        tools = self._tools()
        held = f"the keys {self.endorsement!r} and {self.key!r}"
        with tempfile.TemporaryDirectory(prefix="quatrefoil-tpm-") as name:
            folder = Path(name)
            (folder / "blob").write_bytes(_CREDENTIAL_HEADER + identity + secret)
            asked = ["tpm2_activatecredential", "-c", self.key, "-C", self.endorsement]
            asked += ["-i", f"{name}/blob", "-o", f"{name}/secret"]
            if not self._by_password():
                session = f"{name}/session"
                tools.run("tpm2_startauthsession", "--policy-session", "-S", session)
                try:
                    tools.run("tpm2_policysecret", "-S", session, "-c", "e")
                    tools.run(*asked, "-P", f"session:{session}", about=held)
                finally:
                    tools.run("tpm2_flushcontext", session)
            else:
                tools.run(*asked, about=held)
            return (folder / "secret").read_bytes()

    def _by_password(self) -> bool:
        """Whether the EK may be used under its password, which is empty, as those of high range (profile, section
        B.6.1); others ask for a policy session of the endorsement hierarchy."""
        return bool(int.from_bytes(self._public(self.endorsement)[4:8], "big") & _USER_WITH_AUTH)

    def _public(self, key: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="quatrefoil-tpm-") as name:
            tools = self._tools()
            tools.run("tpm2_readpublic", "-c", key, "-f", "tss", "-o", f"{name}/public", about=f"the key {key!r}")
            return (Path(name) / "public").read_bytes()[2:]

    def _tools(self) -> TpmTools:
        tools = TpmTools(self.tcti)
        tools.look_for_device()
        return tools


def _der(data: bytes) -> bytes:
    """The DER element at the start of ``data``: makers fill an index up with zeros or 0xFF."""
    if len(data) < 4 or data[:2] != b"\x30\x82":
        return data
    return data[: 4 + int.from_bytes(data[2:4], "big")]


__all__ = ["ECC_CERTIFICATE", "RSA_CERTIFICATE", "EndorsedTpm"]

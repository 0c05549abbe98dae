"""SEAL, imported when it is first needed, and one context for each parameter set."""

from __future__ import annotations

from functools import cache
from typing import Any

from quatrefoil.aggregation.he.parameters import HeParameters
from quatrefoil.errors import DependencyMissing, ParametersRefused


def library() -> Any:
    """The binding, or ``DependencyMissing``."""
    try:
        import seal
    except ImportError:
        raise DependencyMissing(
            "seal-python is not installed", hint="Install the extra: pip install 'quatrefoil[he]'"
        ) from None
    return seal


class Context:
    """What SEAL holds of a parameter set. SEAL checks the width of the modulus as well, by its own table."""

    def __init__(self, parameters: HeParameters) -> None:
        self.parameters = parameters
        self.seal: Any = library()
        given = self.seal.EncryptionParameters(getattr(self.seal.scheme_type, parameters.scheme))
        given.set_poly_modulus_degree(parameters.ring_degree)
        given.set_coeff_modulus([self.seal.Modulus(prime) for prime in parameters.key_primes])
        if parameters.plain:
            given.set_plain_modulus(parameters.plain)
        self.handle = self.seal.SEALContext(given, True, self.seal.sec_level_type.tc128)
        if not self.handle.parameters_set():
            raise ParametersRefused(
                f"SEAL refuses {parameters.name} ({self.handle.parameter_error_name()})", hint="Use a named set"
            )
        self.evaluator = self.seal.Evaluator(self.handle)
        of_scheme = self.seal.CKKSEncoder if parameters.scheme == "ckks" else self.seal.BatchEncoder
        self.encoder = of_scheme(self.handle)

    def data_id(self, dropped: int = 0) -> bytes:
        """SEAL's name of the parameters that ciphertexts are in after as many rescalings: 32 bytes."""
        return _id_bytes(self.parms_id(dropped))

    def parms_id(self, dropped: int) -> Any:
        """The same as SEAL takes it."""
        found = self.handle.first_context_data()
        for _ in range(dropped):
            found = found.next_context_data()
        return found.parms_id()

    @property
    def key_id(self) -> bytes:
        """And of those that keys are in."""
        return _id_bytes(self.handle.key_context_data().parms_id())


@cache
def context(parameters: HeParameters) -> Context:
    return Context(parameters)


def _id_bytes(words: list[int]) -> bytes:
    return b"".join(word.to_bytes(8, "little") for word in words)

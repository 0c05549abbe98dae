"""Jobs of Quatrefoil inside Flower: ``ConfidentialStrategy`` for a ServerApp, ``confidential_mod`` for a ClientApp.

Needs the extra ``flower``. docs/flower.md says how, and what a SuperLink still sees.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quatrefoil.flower.mod import confidential_mod
    from quatrefoil.flower.strategy import ConfidentialStrategy

__all__ = ["ConfidentialStrategy", "confidential_mod"]


def __getattr__(name: str) -> Any:
    """Each side loads its own half: every message to a silo starts a process."""
    if name == "ConfidentialStrategy":
        from quatrefoil.flower.strategy import ConfidentialStrategy

        return ConfidentialStrategy
    if name == "confidential_mod":
        from quatrefoil.flower.mod import confidential_mod

        return confidential_mod
    raise AttributeError(name)

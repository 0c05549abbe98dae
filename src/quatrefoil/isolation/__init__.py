"""A keeper whose evidence is collected by hardware and appraised by whoever relies on it (RFC 9334)."""

from quatrefoil.isolation.appraiser import PolicyAppraiser
from quatrefoil.isolation.attester import CollectingAttester

__all__ = ["CollectingAttester", "PolicyAppraiser"]

"""The key of encrypted tables: drawn and sealed by its owner, held by measured code under a lease. Unaudited.

The owner draws it and seals the secret half under its release policy: no plain file of it is ever written. It signs the
public half, under which others encrypt. Code whose evidence passes the policy gets the secret from the broker, opens
answers, and is without it afterwards. docs/homomorphic.md.
"""

from quatrefoil.table_keys.making import make
from quatrefoil.table_keys.opening import load, require_pair, under_lease
from quatrefoil.table_keys.statements import read_key, read_sent

__all__ = ["load", "make", "read_key", "read_sent", "require_pair", "under_lease"]

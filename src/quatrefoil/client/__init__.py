"""Asks a served model: attests before it sends, seals to the attested key, and takes no answer without its receipt.

    with Client(url, policy=policy, collateral=collateral, identity=identity, trust=trust) as client:
        outputs = client.infer({"x": [[0.1, 0.2]]}).outputs

``AsyncClient`` is the same for asyncio. docs/client.md says what is checked when.
"""

from quatrefoil.client.aio import AsyncClient
from quatrefoil.client.answers import Answer, Headers, Inferred
from quatrefoil.client.blocking import Client, Stream
from quatrefoil.client.computations import require_computed
from quatrefoil.client.pinning import Pinned
from quatrefoil.client.receipt_folder import ReceiptFolder
from quatrefoil.client.receipts import Receipt
from quatrefoil.client.streams import AsyncStream

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncStream",
    "Client",
    "Headers",
    "Inferred",
    "Pinned",
    "Receipt",
    "ReceiptFolder",
    "Stream",
    "require_computed",
]

"""Reading classical archives, to seal them anew: CMS EnvelopedData and AuthEnvelopedData (RFC 5652, RFC 5083).

Only reading, only in a stream, and only for migration: what these files protect, a quantum computer opens. Unaudited.
"""

from quatrefoil.transport.cms.content import Archive, open_archive
from quatrefoil.transport.cms.recipients import ClassicalKey

__all__ = ["Archive", "ClassicalKey", "open_archive"]

"""Keys go only to measured code: the broker, and the root key under which it keeps what was entrusted to it. Unaudited.

docs/broker-root.md specifies the root key, its backup and its recovery.
"""

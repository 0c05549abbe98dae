//! What a forger would send, for tests.

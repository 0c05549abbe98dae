//! The bytes of a proof of answers: written and read by lengths that are known before.

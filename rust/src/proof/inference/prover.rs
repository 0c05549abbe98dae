//! The prover: messages in their order.

//! The shape of a proof of answers: it follows from the program, the batch, whether inputs are hidden, and the openings.

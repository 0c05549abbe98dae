//! What a proof of answers is worth: the errors of every round, and their sum.

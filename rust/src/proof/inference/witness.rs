//! What a batch of inferences is between the layers, as columns.

//! The program: a model in integers without its weights, from its bytes.

"""Hundreds of silos and their aggregators: the real machines, ciphertexts and proofs, with silos that stay away, come
late or lie. What is left out is the channel between them: pipes carry the bytes.
"""

"""Measurements that anybody can repeat: every figure in the documents is printed by a command that ends up here."""

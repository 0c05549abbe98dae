"""Asks a served model: attests before it sends, seals to the attested key, and takes no answer without its receipt."""

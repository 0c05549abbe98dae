"""Computing on encrypted tables: scores, statistics and counts, by a party that has no key. Unaudited."""

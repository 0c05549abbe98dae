"""A local endpoint for clients that know nothing of this; and the relay, which carries what it cannot read."""

"""Answers requests to a sealed model: keys and their rotation, the gateway, receipts, engines and upstreams."""

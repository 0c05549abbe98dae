"""Collateral fetched from vendors into a dated folder, by an explicit call only. Verification reads the folder.

The one room that calls servers of vendors. What it writes is believed by nobody for being there.
"""

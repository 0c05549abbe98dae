"""What one party's process is made of: its files, its channels, its options, and the machine of its role put together.

A command starts it, and so does an app of Flower: neither is needed by what is here.
"""

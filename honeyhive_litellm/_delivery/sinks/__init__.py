"""The places that a batch can go to, and the transport each one needs.

The only folder that imports aiohttp.
"""

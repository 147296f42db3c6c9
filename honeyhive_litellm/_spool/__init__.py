"""A durable queue on disk: one writer, segments of SQLite, leases, adoption, numbers.

Nothing here knows LiteLLM, HoneyHive or the settings.
"""

"""Read, check and freeze the settings: one value in, a clean one or a `ConfigError` out.

Nothing here knows LiteLLM, the spool or the network.
"""

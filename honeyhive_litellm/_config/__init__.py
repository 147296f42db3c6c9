"""Read and check what a user configures: a frozen `Settings` out of arguments and variables, or one `ConfigError`.

Nothing here knows LiteLLM, the spool or the network.
"""

"""Connect LiteLLM to `_capture`: the callback logger and the Proxy's logger.

The only folder that imports LiteLLM.
"""

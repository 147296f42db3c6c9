"""Connect LiteLLM to `_capture`: the callback logger, the Proxy's logger, and the patches.

The only folder that imports LiteLLM. What it sees it hands to the recorder of a runtime, and decides nothing else.
"""

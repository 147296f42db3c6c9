"""Wrap the functions of LiteLLM that no callback covers, each patch in a file of its own."""

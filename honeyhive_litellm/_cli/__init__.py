"""The command line, one file for each command.

Nothing here imports LiteLLM.
"""

"""Read LiteLLM's dictionaries and return the parts of an event.

Pure: nothing here does IO, imports LiteLLM or knows the spool.
"""

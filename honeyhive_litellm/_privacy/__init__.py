"""Make any value fit for disk: JSON-safe, bounded, free of credentials and, if configured, of personal data.

Pure: nothing here does IO, and nothing here knows LiteLLM, the spool or the settings.
"""

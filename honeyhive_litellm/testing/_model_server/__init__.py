"""A small OpenAI-compatible model server for tests, one file for each kind of answer."""

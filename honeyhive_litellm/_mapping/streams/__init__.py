"""The answer that a stream's reader got, put together from the pieces as they were read; a file for each protocol."""

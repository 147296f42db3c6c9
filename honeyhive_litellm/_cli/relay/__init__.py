"""`honeyhive-litellm relay`: a file for each command. The NATS client, an extra, is imported inside the commands."""

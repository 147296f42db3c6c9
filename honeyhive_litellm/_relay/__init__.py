"""From the streams of a NATS broker to HoneyHive: one source, flusher and sink for each destination.

Stateless: what is not delivered is in the stream. Nothing here imports LiteLLM or opens a spool.
"""

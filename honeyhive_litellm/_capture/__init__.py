"""Find out which attempt a hook is about and how it ended, and hand a record to the spool's queue.

Nothing here imports LiteLLM or touches the disk or the network.
"""

"""`honeyhive-litellm doctor`: checks that change nothing, one file for each thing that is checked.

Each check returns findings. Only `server.py` uses the network, and only with `--connect`.
"""

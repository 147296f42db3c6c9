"""What `make docs` runs: it builds the site from `docs/`, checks it, and adds the pages as plain Markdown."""

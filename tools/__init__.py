"""Programs for the people who work on this package. Nothing here is in the wheel."""

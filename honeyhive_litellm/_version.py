"""The package's version, in the one place that the build reads it from."""

__version__ = "1.0.0rc1"

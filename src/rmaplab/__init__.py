"""A laboratory for the anonymous reverse map of Linux."""

__version__ = "0.1.0"

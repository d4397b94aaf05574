"""Reductions of the walk: what it need not look at, each in a module of its own."""

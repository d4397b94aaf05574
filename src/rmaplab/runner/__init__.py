"""Scenarios and recorded programs, done one step after the other."""

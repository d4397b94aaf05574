"""Scenarios: the litmus language, its readers and writer, and the shipped collection."""

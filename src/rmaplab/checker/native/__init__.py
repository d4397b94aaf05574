"""The walk in compiled code, for scenarios of millions of states."""

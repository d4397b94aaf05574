"""The kernel's functions under their own names, one module per source file."""

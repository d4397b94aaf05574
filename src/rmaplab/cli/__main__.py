"""`python -m rmaplab.cli`."""

from rmaplab.cli import main

main()

"""`python -m lesion_transfer` is `lesion`."""

from lesion_transfer.cli import main

main()

"""`python -m seqfit`: the program `seqfit`."""

from seqfit._start import main

main()

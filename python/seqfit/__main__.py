"""`python -m seqfit`: the program `seqfit`."""

from seqfit._program import main

main()

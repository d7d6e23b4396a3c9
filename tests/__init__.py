"""The proofs; they mirror core/ and nets/ file by file. `python -m tests` prints the table of evidence."""

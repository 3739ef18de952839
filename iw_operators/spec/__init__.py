"""Specs: what a consultant writes, read, checked against the catalogues and resolved. Reads files, nothing else."""

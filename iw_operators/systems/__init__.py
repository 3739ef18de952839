"""The systems: one folder each, found by its `catalogue.yaml` (`registry`).

`base` says what each can do and promises; the other modules here are what several of them use.
"""

"""Local stand-ins for the vendors' servers, for trying out, tests and benchmarks.

Each speaks its vendor's wire protocol, keeps its data in SQLite and has a control endpoint under `/_sandbox`.
"""

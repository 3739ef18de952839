"""Calls of other systems about changed records: taken, put down, and brought to the flow that syncs them (R12)."""

"""Operators: the tasks of flows, and building blocks (query, upsert) for DAGs that people write by hand."""

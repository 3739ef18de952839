"""Sensors: `ready`, the first task of each flow, and one that waits for changes, for DAGs written by hand."""

"""Creatio over OData."""

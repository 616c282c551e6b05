"""Passes that make a module smaller without changing what it computes."""

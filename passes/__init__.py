"""Passes: one module in, one module out."""

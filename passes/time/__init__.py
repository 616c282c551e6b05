"""Passes that change how a module meets time."""

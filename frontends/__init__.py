"""Frontends: readers that import a model into a module."""

"""Sizes that a model leaves fixed or open."""

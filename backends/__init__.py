"""Backends: lower a module into an executable that runs and says what it costs."""

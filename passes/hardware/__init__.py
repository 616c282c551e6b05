"""Passes that machines share: what a network must be before it is laid on hardware, and after."""

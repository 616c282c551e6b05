"""Noise on spikes, and what makes a network robust against it (coding card 6)."""

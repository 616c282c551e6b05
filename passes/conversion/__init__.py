"""ANN to SNN conversion."""

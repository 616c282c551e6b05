"""Training of networks through what they will compute when deployed."""

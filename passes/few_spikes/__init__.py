"""Tables of few-spikes neurons for activations that no ReLU-shaped neuron has: fitted, cached, shipped."""

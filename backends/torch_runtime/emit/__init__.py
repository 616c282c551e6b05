"""How ops are written as PyTorch source: one file a family; `tables` imports them all."""

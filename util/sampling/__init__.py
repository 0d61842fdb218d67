"""Sampling: draws characters, and grows texts from them."""

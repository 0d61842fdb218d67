"""Sampling: how the next character is drawn, and texts grown from it."""

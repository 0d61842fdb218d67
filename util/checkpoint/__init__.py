"""Checkpoints: what they hold, how to read them without trusting them, and where a run keeps its own."""

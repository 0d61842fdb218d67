"""Measures how well a checkpoint predicts a text, as a whole or by lines, and how much of a sampled text is copied."""

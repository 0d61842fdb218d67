"""The page of visualize.py: one file in which the network reads, writes and shows its cells."""

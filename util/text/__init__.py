"""A text: from files to characters, indices and batches."""

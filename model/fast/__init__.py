"""What is only speed: the steps of the original's cells by hand, forward and back, and as kernels for a GPU."""

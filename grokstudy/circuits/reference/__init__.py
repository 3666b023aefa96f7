"""Algorithms that networks were found to use, written by hand in plain numpy: nothing here imports torch."""

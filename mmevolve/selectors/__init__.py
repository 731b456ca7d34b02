"""Selectors: groups in, training rows out."""

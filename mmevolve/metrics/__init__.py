"""Metrics and monitors: groups in, named numbers out."""

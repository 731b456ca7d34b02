"""Samplers: policy and samples in, trajectories out."""

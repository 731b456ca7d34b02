"""Schedules: round and history in, new values of sampler fields out."""

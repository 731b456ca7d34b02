"""Losses: pure functions of tensors; they know neither models nor rows."""

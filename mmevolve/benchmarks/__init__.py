"""Benchmarks as small YAML specs: read, loaded from data that is here, asked, scored and put into numbers."""

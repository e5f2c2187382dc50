"""Simulated machines, for load tests and demonstrations."""

"""Recognising AI workloads by evidence."""

"""Readers of the headers of model files, one format a file; each takes a HeaderSource and trusts nothing in it."""

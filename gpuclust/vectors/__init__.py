"""Vectors and labels of a user's own: one module per file format, one table of names for all."""

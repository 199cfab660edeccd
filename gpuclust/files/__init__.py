"""Paths given by users, output files named by users, and names as visible text."""

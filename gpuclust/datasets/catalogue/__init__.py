"""Entries of the registry of datasets, by the way they are read."""

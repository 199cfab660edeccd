"""Entries of the registry of encoders, by their origin."""

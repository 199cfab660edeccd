"""Readers, one module per layout on disk."""

"""Dataset readers, one module per layout on disk."""

"""Compute, store, load and check embeddings."""

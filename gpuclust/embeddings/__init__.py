"""Embeddings: computed once, stored, loaded, and checked."""

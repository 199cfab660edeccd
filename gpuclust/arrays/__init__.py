"""Array operations on any namespace: distances, neighbors, segment sums, rows."""

# The distances of the library.  Result keys hash names of scores in this order.  Kept here, where
# importing it needs no NumPy.
METRICS = ("euclidean", "cosine", "l1", "chebyshev")

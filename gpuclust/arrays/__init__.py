"""Array operations on any namespace: distances, neighbors, segment sums, rows."""

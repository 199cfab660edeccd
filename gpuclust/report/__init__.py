"""Tables of rows, and the agreement of two backends."""

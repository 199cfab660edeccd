"""The device: which backend runs, its memory, and what the host has."""

"""The registry of methods: entries, their parameters, and how they are built."""

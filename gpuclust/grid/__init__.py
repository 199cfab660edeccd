"""Runs of many units: order, resume, failures, status and cost."""

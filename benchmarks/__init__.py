"""Measurements, beside baselines of the same run; run by `make bench`, never by a test."""

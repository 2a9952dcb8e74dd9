"""Utskick: press releases by mail, with books that balance."""

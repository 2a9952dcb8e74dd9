"""The `utskick` command: parse, call a domain function, show."""

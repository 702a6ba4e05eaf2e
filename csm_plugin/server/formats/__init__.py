"""Formats that speech is sent in, encoded while it is made."""

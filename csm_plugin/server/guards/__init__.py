"""What stands before every request: keys and origins, limits, admission, the access log."""

"""Runnable voice agents that speak with CSM."""

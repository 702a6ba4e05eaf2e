"""Conversations over a WebSocket: orders in, speech out, as much ahead as its reader allows."""

"""The engine over HTTP and WebSocket: `csm_plugin.server.app.create_app` makes the app, `csm serve` runs it."""

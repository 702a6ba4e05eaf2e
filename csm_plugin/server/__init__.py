"""The engine over HTTP and WebSocket: `csm_plugin.server.app.create_app` makes the app, `csm serve` runs it."""

from __future__ import annotations

from csm_plugin.extras import require

require("server", "csm_plugin.server")

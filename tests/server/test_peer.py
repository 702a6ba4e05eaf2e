"""Sockets end without noise, whoever ends them."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import WebSocketDisconnect
from loguru import logger
from starlette.types import Message
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed

from csm_plugin.server.socket.peer import AWAY, Peer
from tests.server.running import RunningServer, wait_until
from tests.server.socket_client import client


async def test_what_is_sent_after_a_close_finds_nobody(server: RunningServer) -> None:
    """Starlette calls that an error of the program; at every drain it was logged as one."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    peer = Peer(server.service, WebSocket({"type": "websocket", "subprotocols": []}, receive, send), 1.0)
    assert await peer.accept()
    await peer.close(AWAY, "the server ends")
    with pytest.raises(WebSocketDisconnect):
        await peer.send("{}")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]


async def test_a_socket_that_is_sent_away_while_it_asks_logs_no_error(server: RunningServer) -> None:
    told: list[str] = []
    sink = logger.add(lambda line: told.append(str(line)), level="WARNING")
    loop = server.server._loop
    assert loop is not None
    try:
        async with client(server.ws) as one:
            await one.send("open", conversation=1)
            await one.until("opened")
            for listener in tuple(server.service.listeners):
                asyncio.run_coroutine_threadsafe(listener.go_away(), loop)
            with pytest.raises(ConnectionClosed):
                while True:
                    await one.send("ping")
                    await one.receive()
        await asyncio.to_thread(wait_until, lambda: not server.service.listeners)
    finally:
        logger.remove(sink)
    assert told == []

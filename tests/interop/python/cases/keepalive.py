"""The router answers the pings of WebSocket clients, also while messages pass."""

import asyncio
import os

from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp.types import ComponentConfig

from peer import REALM, Peer, check, equal, run, within
from serializers import named

PINGS = 10


async def main():
    made = []

    def session():
        made.append(Peer(ComponentConfig(REALM, {"methods": ["anonymous"], "user": None, "secret": None})))
        return made[-1]

    loop = asyncio.get_running_loop()
    factory = WampWebSocketClientFactory(session, url=os.environ["WAMP_WS"], serializers=[named("cbor")], loop=loop)
    factory.setProtocolOptions(autoPingInterval=0.02, autoPingTimeout=10, autoPingSize=12)
    pongs = asyncio.Queue()
    original = factory.protocol.onPong

    def on_pong(self, payload):
        pongs.put_nowait(payload)
        original(self, payload)

    factory.protocol.onPong = on_pong
    await within(loop.create_connection(factory, factory.host, factory.port))
    for n in range(PINGS):
        await within(pongs.get())
        await within(made[0].joined)
        await within(made[0].subscribe(print, "com.example.topic{}".format(n)))
    check(made[0].is_attached(), "still joined")
    equal(await made[0].quit(), "wamp.close.normal", "reason")


run(main)

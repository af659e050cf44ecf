"""A session that is left alone: restart.py asyncio|twisted URL REALM

Joins by Autobahn's Component with its default reconnection, over WebSocket (ws://…) or RawSocket (rs://…), and prints
"joined" each time, until it is killed.
"""

import os
import sys

library, url, realm = sys.argv[1:]
if library == "twisted":
    from autobahn.twisted.component import Component, run
    from twisted.internet.defer import Deferred as Future
else:
    from asyncio import Future

    from autobahn.asyncio.component import Component, run

transport = {"type": "rawsocket" if url.startswith("rs") else "websocket", "url": url}
if url.startswith("rs"):
    host, _, port = url.removeprefix("rs://").rpartition(":")
    transport["endpoint"] = {"type": "tcp", "host": host, "port": int(port)}


def joined(_loop, _session):
    # Not print: Twisted takes that for a line of the log.
    os.write(1, b"joined\n")
    # For as long as the session is there. A Component forgets how often it has tried only if it has such a `main`.
    return Future()


run([Component(main=joined, transports=[transport], realm=realm)], log_level="error")

"""Joins over the link of peer.py that is its argument, and prints where the router says that the client connects from."""

import asyncio
import sys

import peer


async def main():
    session = await peer.join(sys.argv[1])
    details = await peer.within(session.call("wamp.session.get", session.details.session))
    print("peer", details["transport"]["peer"], flush=True)
    await session.quit()


asyncio.run(main())

"""A router that is told to stop says GOODBYE to its sessions: prints "joined", then waits for it."""

import asyncio

from peer import LINKS, equal, join, run, within


async def main():
    sessions = [await join(link) for link in LINKS]
    print("joined", flush=True)
    for session in sessions:
        equal((await within(session.left)).reason, "wamp.close.system_shutdown", "reason")
    await within(asyncio.gather(*(session.gone for session in sessions)))


run(main)

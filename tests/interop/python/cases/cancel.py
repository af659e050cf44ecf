"""A canceled call interrupts its callee, which lives on, and so does the caller; a call with a timeout ends by it.

Features: call_canceling, call_timeout."""

import asyncio

from autobahn.wamp.types import CallOptions

from peer import equal, join, refused, run, within


async def main():
    callee, caller = await join("ws+cbor"), await join("rs+json")
    started, interrupted = asyncio.Queue(), asyncio.Queue()

    async def hang(n):
        started.put_nowait(n)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            interrupted.put_nowait(n)
            raise

    await within(callee.register(hang, "com.example.hang"))
    await within(callee.register(lambda n: n, "com.example.echo"))
    for n in range(3):
        call = caller.call("com.example.hang", n)
        equal(await within(started.get()), n, "started")
        call.cancel()
        equal(await within(interrupted.get()), n, "interrupted")
        equal(await within(caller.call("com.example.echo", n)), n, "a call after it")

    # Autobahn sends the number as it is: milliseconds.
    call = caller.call("com.example.hang", 99, options=CallOptions(timeout=50))
    await refused(call, "wamp.error.timeout")
    equal(await within(interrupted.get()), 99, "interrupted by the timeout")
    equal(await within(caller.call("com.example.echo", 1)), 1, "a call after it")
    await callee.quit()
    await caller.quit()


run(main)

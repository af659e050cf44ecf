"""A canceled call interrupts its callee, which lives on, and so does the caller; a call with a timeout ends by it.

Features: call_canceling, call_timeout."""

import asyncio

from autobahn.wamp.types import CallOptions, RegisterOptions

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

    # With progress it is the time between results.
    async def slowly(n, details=None):
        for i in range(n):
            await asyncio.sleep(0.03)
            details.progress(i)
        await hang(n)

    await within(callee.register(slowly, "com.example.slowly", options=RegisterOptions(details_arg="details")))
    progress = []
    options = CallOptions(timeout=1000, on_progress=progress.append)
    await refused(caller.call("com.example.slowly", 40, options=options), "wamp.error.timeout")
    equal(progress, list(range(40)), "progress for longer than the timeout")
    equal(await within(interrupted.get()), 40, "interrupted after all")
    equal(await within(caller.call("com.example.echo", 2)), 2, "a call after it")
    await callee.quit()
    await caller.quit()


run(main)

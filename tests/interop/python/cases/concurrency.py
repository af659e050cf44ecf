"""A callee gets no more calls at a time than it said; the others wait in line, in order, and leave it when canceled.

Features: shared_registration, with Crossbar.io's concurrency."""

import asyncio

from autobahn.wamp.types import CallOptions, RegisterOptions

from peer import check, equal, join, refused, run, within

CALLS = 20


async def main():
    callees = [await join(link) for link in ("ws+cbor", "rs+json")]
    caller = await join("ws+msgpack")
    order, busy, most = [], [0, 0], [0, 0]
    for which, callee in enumerate(callees):

        async def work(n, which=which):
            order.append(n)
            busy[which] += 1
            most[which] = max(most[which], busy[which])
            await asyncio.sleep(0.002)
            busy[which] -= 1
            return n

        options = RegisterOptions(invoke="roundrobin", concurrency=which + 1)
        await within(callee.register(work, "com.example.concurrency", options=options))
    calls = [caller.call("com.example.concurrency", n) for n in range(CALLS)]
    equal(await within(asyncio.gather(*calls)), list(range(CALLS)), "results")
    equal(sorted(order), list(range(CALLS)), "each call once")
    equal(most, [1, 2], "calls at a time")

    # One that waits too long, or is canceled, leaves the line; those behind it move up.
    hold = asyncio.Event()

    async def held(n):
        await hold.wait()
        return n

    await within(callees[0].register(held, "com.example.held", options=RegisterOptions(concurrency=1)))
    first = caller.call("com.example.held", 1)
    late = caller.call("com.example.held", 2, options=CallOptions(timeout=50))
    canceled = caller.call("com.example.held", 3)
    last = caller.call("com.example.held", 4)
    await refused(late, "wamp.error.timeout")
    canceled.cancel()
    hold.set()
    equal(await within(asyncio.gather(first, last)), [1, 4], "the first and the last")
    check(canceled.cancelled(), "canceled")
    for session in (*callees, caller):
        await session.quit()


run(main)

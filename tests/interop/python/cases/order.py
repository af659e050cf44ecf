"""Events of one publisher and invocations of one caller arrive in the order in which they were sent, across topics and
procedures."""

import asyncio

from autobahn.wamp.types import PublishOptions

from peer import equal, join, run, within

COUNT = 400


async def main():
    publishers = [await join("ws+cbor"), await join("rs+json")]
    subscribers = [await join(link) for link in ("ws+json.batched", "ws+msgpack", "rs+cbor", "unix+msgpack")]
    inboxes = []
    for session in subscribers:
        inbox = []
        inboxes.append(inbox)
        for topic in ("com.example.order.even", "com.example.order.odd"):
            await within(session.subscribe(lambda who, n, inbox=inbox: inbox.append((who, n)), topic))
    done = [asyncio.Event() for _ in subscribers]
    for session, event in zip(subscribers, done):
        await within(session.subscribe(lambda event=event: event.set(), "com.example.order.done"))

    for n in range(COUNT):
        for who, session in enumerate(publishers):
            session.publish("com.example.order." + ("odd" if n % 2 else "even"), who, n)
    for session in publishers:
        await within(session.publish("com.example.order.flush", options=PublishOptions(acknowledge=True)))
    await within(publishers[0].publish("com.example.order.done", options=PublishOptions(acknowledge=True)))
    for event in done:
        await within(event.wait())
    for inbox in inboxes:
        equal(len(inbox), COUNT * len(publishers), "number of events")
        for who in range(len(publishers)):
            equal([n for w, n in inbox if w == who], list(range(COUNT)), "events of publisher {}".format(who))

    callee, caller = await join("ws+cbor.batched"), await join("rs+msgpack")
    seen = []
    await within(callee.register(seen.append, "com.example.order.a"))
    await within(callee.register(seen.append, "com.example.order.b"))
    calls = [caller.call("com.example.order." + "ab"[n % 2], n) for n in range(COUNT)]
    await within(asyncio.gather(*calls))
    equal(seen, list(range(COUNT)), "invocations")
    for session in [*publishers, *subscribers, callee, caller]:
        await session.quit()


run(main)

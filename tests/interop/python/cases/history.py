"""Past events of a topic, with the filters of the specification.

Features: event_history."""

from autobahn.wamp.types import PublishOptions, SubscribeOptions

from peer import equal, join, refused, run, within

GET = "wamp.subscription.get_events"


async def main():
    kim = await join("ws+cbor", user="kim", secret="kim's secret")
    published = []
    for n in range(8):
        topic = "com.example.history." + ("a" if n % 2 == 0 else "b")
        options = PublishOptions(acknowledge=True, **({"exclude_authid": ["kim"]} if n == 6 else {}))
        published.append((await within(kim.publish(topic, n, options=options))).id)
    await within(kim.publish("com.example.history.a", 9, options=PublishOptions(acknowledge=True, exclude=[1])))

    for link in ("ws+cbor", "ws+json", "ws+msgpack"):
        session = await join(link, user="kim", secret="kim's secret")
        exact = await within(session.call("wamp.subscription.lookup", "com.example.history.a"))
        subscription = await within(session.subscribe(print, "com.example.history.a"))
        equal(exact, subscription.id, "the subscription is there before anybody subscribes")
        options = SubscribeOptions(match="prefix")
        prefix = (await within(session.subscribe(print, "com.example.history.", options=options))).id

        async def numbers(subscription, *args, **kwargs):
            events = await within(session.call(GET, subscription, *args, **kwargs))
            for event in events:
                equal(event["subscription"], subscription, "subscription")
                equal(event["publication"], published[event["args"][0]], "publication")
                equal(event["details"].get("trustlevel"), 3, "trust level")
            return [event["args"][0] for event in events]

        equal(await numbers(exact), [0, 2, 4], "all but those for others")
        equal(await numbers(prefix), [0, 1, 2, 3, 4, 5, 7], "of the pattern")
        equal(await numbers(prefix, topic="com.example.history.b", limit=2), [1, 3], "of a topic")
        equal(await numbers(prefix, reverse=True, limit=3), [7, 5, 4], "the latest")
        equal(await numbers(prefix, 2), [7, 5], "as with Crossbar.io")
        equal(await numbers(prefix, after_publication=published[3], until_publication=published[5]), [4, 5], "between")
        events = await within(session.call(GET, prefix))
        latest = await numbers(prefix, from_time=events[-1]["timestamp"])
        equal(latest[-1], 7, "from a time")
        equal(await numbers(prefix, before_time=events[0]["timestamp"]), [], "before a time")
        await refused(session.call(GET, prefix, from_time="now"), "wamp.error.invalid_argument")
        other = (await within(session.subscribe(print, "com.example.nothing"))).id
        await refused(session.call(GET, other), "wamp.error.history_unavailable")
        await session.quit()
    await kim.quit()


run(main)

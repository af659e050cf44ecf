"""Retained events: a late subscriber that asks gets the last one of each topic that matches, and nobody else.

Features: event_retention, pattern_based_subscription, subscriber_blackwhite_listing, publication_trustlevels."""

from autobahn.wamp.types import PublishOptions, SubscribeOptions

from peer import LINKS, equal, join, refused, run, within


async def main():
    kim = await join("ws+cbor", user="kim", secret="kim's secret")

    async def retain(topic, n, **options):
        options = PublishOptions(acknowledge=True, retain=True, **options)
        return (await within(kim.publish(topic, n, again=n, options=options))).id

    await retain("com.example.retained.b", 1)
    last = {"com.example.retained.b": await retain("com.example.retained.b", 2)}
    last["com.example.retained.a"] = await retain("com.example.retained.a", 3)
    await within(kim.publish("com.example.retained.a", 4, options=PublishOptions(acknowledge=True)))
    for link in LINKS:
        for match, topic, expected in [
            ("exact", "com.example.retained.b", [2]),
            ("prefix", "com.example.retained.", [2, 3]),
            ("wildcard", "com..retained.", [2, 3]),
            ("exact", "com.example.retained", []),
        ]:
            for get_retained in (True, False):
                session = await join(link)
                events = []

                def on_event(n, details=None, events=events, **kwargs):
                    events.append(n)
                    equal(kwargs, {"again": n}, "keywords")
                    equal(details.retained, True, "retained")
                    equal(details.publication in last.values(), True, "publication")

                options = SubscribeOptions(match=match, get_retained=get_retained, details_arg="details")
                await within(session.subscribe(on_event, topic, options=options))
                # An answer follows every event that was sent before it.
                await refused(session.call("com.example.missing"), "wamp.error.no_such_procedure")
                equal(events, expected if get_retained else [], "{} {}".format(match, topic))
                await session.quit()

    # The audience of the event holds for late subscribers.
    await retain("com.example.retained.secret", 5)
    await retain("com.example.retained.secret", 6, eligible_authid=["ada"])
    for link, user, expected in [("ws+json", "ada", [6]), ("ws+msgpack", None, [5])]:
        session = await join(link, user=user, secret="ada's secret") if user else await join(link)
        events = []
        options = SubscribeOptions(get_retained=True)
        handler = lambda n, again, events=events: events.append(n)  # noqa: E731
        await within(session.subscribe(handler, "com.example.retained.secret", options=options))
        await refused(session.call("com.example.missing"), "wamp.error.no_such_procedure")
        equal(events, expected, str(user))
        await session.quit()
    await kim.quit()


run(main)

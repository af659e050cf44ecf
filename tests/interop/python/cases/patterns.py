"""Prefix and wildcard subscriptions and registrations match as specified and tell which URI it was.

Features: pattern_based_subscription, pattern_based_registration."""

from autobahn.wamp.types import PublishOptions, RegisterOptions, SubscribeOptions

from peer import equal, join, refused, run, within


async def main():
    subscriber, publisher = await join("ws+json"), await join("rs+cbor")
    events = []
    for match, topic in [
        ("exact", "com.example.a.one.x"),
        ("prefix", "com.example.a"),
        ("prefix", "com.example.b."),
        ("wildcard", "com.example..one.x"),
    ]:

        def on_event(n, details=None, match=match):
            events.append((match, details.topic, n))

        options = SubscribeOptions(match=match, details_arg="details")
        await within(subscriber.subscribe(on_event, topic, options=options))
    topics = ["com.example.a.one.x", "com.example.abc", "com.example.b", "com.example.b.one.x", "com.example.a.one.x.y"]
    for n, topic in enumerate(topics):
        await within(publisher.publish(topic, n, options=PublishOptions(acknowledge=True)))
    await refused(subscriber.call("com.example.missing"), "wamp.error.no_such_procedure")
    expected = [
        ("exact", topics[0], 0), ("prefix", topics[0], 0), ("wildcard", topics[0], 0),
        ("prefix", topics[1], 1),
        ("prefix", topics[3], 3), ("wildcard", topics[3], 3),
        ("prefix", topics[4], 4),
    ]  # fmt: skip
    equal(sorted(events), sorted(expected), "events")

    callee, caller = await join("ws+msgpack"), await join("ws+cbor.batched")
    for match, procedure in [
        ("exact", "com.example.p.one.x"),
        ("prefix", "com.example.p"),
        ("prefix", "com.example.p.one"),
        ("wildcard", "com.example..two.x"),
        ("wildcard", "com.example.q..x"),
    ]:

        def invoked(details=None, match=match, procedure=procedure):
            return [match, procedure, details.procedure]

        options = RegisterOptions(match=match, details_arg="details")
        await within(callee.register(invoked, procedure, options=options))
    for procedure, expected in [
        ("com.example.p.one.x", ("exact", "com.example.p.one.x")),
        ("com.example.p.one.y", ("prefix", "com.example.p.one")),
        ("com.example.pp", ("prefix", "com.example.p")),
        ("com.example.r.two.x", ("wildcard", "com.example..two.x")),
        # A prefix is preferred to a wildcard; of two wildcards, the one with the earlier literal component.
        ("com.example.p.two.x", ("prefix", "com.example.p")),
        ("com.example.q.two.x", ("wildcard", "com.example.q..x")),
    ]:
        equal(await within(caller.call(procedure)), [*expected, procedure], procedure)
    await refused(caller.call("com.example.q.two.y"), "wamp.error.no_such_procedure")
    for session in (subscriber, publisher, callee, caller):
        await session.quit()


run(main)

"""A publisher chooses who receives an event: everyone but itself, by session, by authid, by role.

Features: publisher_exclusion, subscriber_blackwhite_listing."""

from autobahn.wamp.types import PublishOptions

from peer import equal, join, refused, run, within


async def main():
    sessions = {
        "ada": await join("ws+cbor", user="ada", secret="ada's secret"),
        "bob": await join("ws+json", user="bob", secret="secret1"),
        "eve": await join("rs+msgpack"),
    }
    ids = {name: session.details.session for name, session in sessions.items()}
    received = []
    for name, session in sessions.items():
        await within(session.subscribe(lambda n, name=name: received.append((n, name)), "com.example.public.topic"))
    audiences = [
        ({}, {"bob", "eve"}),
        ({"exclude_me": True}, {"bob", "eve"}),
        ({"exclude_me": False}, {"ada", "bob", "eve"}),
        ({"exclude": [ids["bob"]]}, {"eve"}),
        ({"eligible": [ids["bob"], ids["ada"]]}, {"bob"}),
        ({"eligible": [ids["ada"]], "exclude_me": False}, {"ada"}),
        ({"exclude_authid": ["bob"]}, {"eve"}),
        ({"eligible_authid": ["bob"]}, {"bob"}),
        ({"exclude_authrole": ["limited"], "exclude_me": False}, {"ada", "eve"}),
        ({"eligible_authrole": ["limited"]}, {"bob"}),
        ({"eligible": []}, set()),
        ({"eligible": [ids["bob"], ids["eve"]], "exclude": [ids["bob"]]}, {"eve"}),
    ]
    for n, (options, _) in enumerate(audiences):
        options = PublishOptions(acknowledge=True, **options)
        await within(sessions["ada"].publish("com.example.public.topic", n, options=options))
    for session in sessions.values():
        # An answer follows every event that was sent before it.
        await refused(session.call("com.example.public.missing"), "wamp.error.no_such_procedure")
    for n, (options, expected) in enumerate(audiences):
        equal({name for m, name in received if m == n}, expected, str(options))
    for session in sessions.values():
        await session.quit()


run(main)

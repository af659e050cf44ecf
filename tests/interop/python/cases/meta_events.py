"""The comings and goings of sessions, registrations and subscriptions are told in order.

Features: session_meta_api, registration_meta_api, subscription_meta_api."""

import asyncio

from peer import equal, join, run, within

SESSION = ["on_join", "on_leave"]
REGISTRATION = ["on_create", "on_register", "on_unregister", "on_delete"]
SUBSCRIPTION = ["on_create", "on_subscribe", "on_unsubscribe", "on_delete"]


async def main():
    for link in ("ws+cbor", "rs+msgpack", "ws+json"):
        watcher = await join(link)
        events = asyncio.Queue()
        for kind, names in [("session", SESSION), ("registration", REGISTRATION), ("subscription", SUBSCRIPTION)]:
            for name in names:
                topic = "{}.{}".format(kind, name)
                await within(watcher.subscribe(lambda *args, t=topic: events.put_nowait((t, *args)), "wamp." + topic))

        async def told(topic, *args):
            equal(list(await within(events.get())), [topic, *args], topic)

        ada = await join(user="ada", secret="ada's secret")
        session = ada.details.session
        identity = {"authid": "ada", "authrole": "tester", "authmethod": "wampcra", "authprovider": "static"}
        await told("session.on_join", {"session": session, **identity})

        held = await within(ada.subscribe(print, "com.example.meta.news"))
        topic, by, details = await within(events.get())
        equal([topic, by], ["subscription.on_create", session], "on_create of a subscription")
        details.pop("created")
        equal(details, {"id": held.id, "uri": "com.example.meta.news", "match": "exact"}, "its details")
        await told("subscription.on_subscribe", session, held.id)
        await within(held.unsubscribe())
        await told("subscription.on_unsubscribe", session, held.id)
        await told("subscription.on_delete", session, held.id)

        held = await within(ada.register(lambda: None, "com.example.meta.procedure"))
        topic, by, details = await within(events.get())
        equal([topic, by], ["registration.on_create", session], "on_create of a registration")
        details.pop("created")
        expected = {"id": held.id, "uri": "com.example.meta.procedure", "match": "exact", "invoke": "single"}
        equal(details, expected, "its details")
        await told("registration.on_register", session, held.id)
        ada.vanish()
        await told("registration.on_unregister", session, held.id)
        await told("registration.on_delete", session, held.id)
        await told("session.on_leave", session, "ada", "tester")
        await watcher.quit()


run(main)

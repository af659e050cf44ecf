"""A subscription that is taken back: no more events of it arrive, and the session goes on.

Autobahn|Python announces subscription_revocation, but takes the UNSUBSCRIBED without a request that it is then told by
for a breach of the protocol. Here it does not announce it, and so is not told."""

from autobahn.wamp import role
from autobahn.wamp.types import PublishOptions

from peer import LINKS, check, equal, join, refused, run, within


async def main():
    role.DEFAULT_CLIENT_ROLES["subscriber"].subscription_revocation = False
    kim = await join("ws+cbor", user="kim", secret="kim's secret")
    for link in LINKS:
        session = await join(link)
        events, kept = [], []
        subscription = await within(session.subscribe(events.append, "com.example.revoked"))
        await within(session.subscribe(kept.append, "com.example.kept"))
        acknowledged = PublishOptions(acknowledge=True)
        await within(kim.publish("com.example.revoked", 1, options=acknowledged))
        ids = (subscription.id, session.details.session)
        equal(await within(kim.call("wamp.subscription.remove_subscriber", *ids)), None, "remove_subscriber")
        equal(await within(kim.call("wamp.subscription.lookup", "com.example.revoked")), None, "the last one is gone")
        await refused(kim.call("wamp.subscription.remove_subscriber", *ids), "wamp.error.no_such_subscription")
        await within(kim.publish("com.example.revoked", 2, options=acknowledged))
        await within(kim.publish("com.example.kept", 3, options=acknowledged))
        # An answer follows every event that was sent before it.
        await refused(session.call("com.example.missing"), "wamp.error.no_such_procedure")
        equal((events, kept), ([1], [3]), link)
        check(session.is_attached(), "the session goes on")
        await session.quit()
    await kim.quit()


run(main)

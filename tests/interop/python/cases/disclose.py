"""The identities of caller and publisher are disclosed where the role's rule says so, and nowhere else.

Features: caller_identification, publisher_identification."""

import asyncio

from autobahn.wamp.types import PublishOptions, RegisterOptions, SubscribeOptions

from peer import equal, join, run, within


async def main():
    observer = await join("ws+json")
    ada = await join("ws+cbor", user="ada", secret="ada's secret")
    identity = [ada.details.session, "ada", "tester"]
    events = asyncio.Queue()

    def invoked(details=None):
        return [details.caller, details.caller_authid, details.caller_authrole]

    def on_event(details=None):
        events.put_nowait([details.publisher, details.publisher_authid, details.publisher_authrole])

    for uri, expected in [("com.example.disclosed.x", identity), ("com.example.undisclosed.x", [None] * 3)]:
        await within(observer.register(invoked, uri, options=RegisterOptions(details_arg="details")))
        await within(observer.subscribe(on_event, uri, options=SubscribeOptions(details_arg="details")))
        equal(await within(ada.call(uri)), expected, "caller of " + uri)
        await within(ada.publish(uri, options=PublishOptions(acknowledge=True)))
        equal(await within(events.get()), expected, "publisher to " + uri)
    await observer.quit()
    await ada.quit()


run(main)

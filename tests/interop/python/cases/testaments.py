"""What a session has left with the router is published when it vanishes, leaves, or is not flushed before.

Features: testament_meta_api."""

import asyncio

from autobahn.wamp.types import SubscribeOptions

from peer import equal, join, refused, run, within

TOPIC = "com.example.testament"
LINKS = ["ws+cbor", "ws+msgpack", "ws+json"]


async def main():
    listener = await join("rs+json")
    events = asyncio.Queue()

    def on_event(*args, details=None, **kwargs):
        events.put_nowait((list(args), kwargs, details.publisher))

    await within(listener.subscribe(on_event, TOPIC, options=SubscribeOptions(details_arg="details")))
    for link in LINKS:
        for end in ("vanish", "quit"):
            kim = await join(link, user="kim", secret="kim's secret")
            add, flush = "wamp.session.add_testament", "wamp.session.flush_testaments"
            for args, kwargs, options in [
                (["destroyed"], {"x": b"\x00"}, {}),
                (["first"], {}, {"scope": "detached"}),
                (["disclosed"], {}, {"publish_options": {"disclose_me": True}}),
                (["nobody"], {}, {"publish_options": {"eligible": []}}),
            ]:
                equal(await within(kim.call(add, TOPIC, args, kwargs, **options)), None, "add_testament")
            await refused(kim.call(add, TOPIC, [], {}, scope="never"), "wamp.error.invalid_argument")
            if end == "vanish":
                kim.vanish()
            else:
                await kim.quit()
            for expected in [
                (["first"], {}, None),
                (["destroyed"], {"x": b"\x00"}, None),
                (["disclosed"], {}, kim.details.session),
            ]:
                equal(await within(events.get()), expected, "{} {}".format(link, end))

        kim = await join(link, user="kim", secret="kim's secret")
        for scope in ("destroyed", "detached"):
            await within(kim.call(add, TOPIC, [scope], {}, scope=scope))
        equal(await within(kim.call(flush, scope="detached")), None, "flush_testaments")
        await kim.quit()
        equal((await within(events.get()))[0], ["destroyed"], "the scope that was not flushed")
    equal(events.empty(), True, "nothing else")
    # A rule for everything suffices: it is the session's own testament.
    await within(listener.call(add, TOPIC, [], {}))
    await listener.quit()


run(main)

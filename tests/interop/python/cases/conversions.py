"""Values that not every serializer has arrive converted, and end nobody's session."""

import asyncio
import math
from datetime import datetime

from odd_values import CARRIED, LEFT_OUT, TIME, TIMESTAMP
from peer import check, equal, join, refused, run, within

LINKS = {serializer: "ws+" + serializer for serializer in ("cbor", "msgpack", "json")}
KEYS = {1: "a", -2: {3: "b"}, None: "d", 1.5: "e", False: "f"}
TEXT_KEYS = {"1": "a", "-2": {"3": "b"}, "null": "d", "1.5": "e", "false": "f"}
EXPECTED = {
    "keys": {"cbor": KEYS, "msgpack": TEXT_KEYS, "json": TEXT_KEYS},
    "time": {"cbor": TIME, "msgpack": TIMESTAMP},
    "big": {"cbor": 2**70, "msgpack": str(2**70), "json": 2**70},
    "small": {"cbor": -(2**64), "msgpack": str(-(2**64)), "json": -(2**64)},
    "simple": {"cbor": None, "msgpack": None, "json": None},
}


async def main():
    sessions = {serializer: await join(link) for serializer, link in LINKS.items()}
    inboxes = {serializer: asyncio.Queue() for serializer in LINKS}
    for serializer, session in sessions.items():
        handler = lambda *args, inbox=inboxes[serializer]: inbox.put_nowait(args)  # noqa: E731
        await within(session.subscribe(handler, "com.example.odd"))
        await within(session.register(lambda value: value, "com.example.echo_" + serializer))

    for serializer in LINKS:
        publisher = await join(LINKS[serializer])
        for name, value in (CARRIED[serializer] | LEFT_OUT[serializer]).items():
            publisher.publish("com.example.odd", name, value)
        publisher.publish("com.example.odd", "end", None)
        for receiver, inbox in inboxes.items():
            for name in [*CARRIED[serializer], "end"]:
                what = "{} from {} to {}".format(name, serializer, receiver)
                got, value = await within(inbox.get())
                equal(got, name, what)
                if name == "nan":
                    numbers = receiver != "json"
                    check(value == [None, None] if not numbers else math.isnan(value[0]) and value[1] == math.inf, what)
                elif name == "time" and receiver == "json":
                    # With as many digits as the publisher wrote.
                    equal(datetime.fromisoformat(value.replace("Z", "+00:00")), TIME, what)
                elif name != "end":
                    equal(value, EXPECTED[name][receiver], what)
        for receiver in LINKS:
            for value in LEFT_OUT[serializer].values():
                await refused(publisher.call("com.example.echo_" + receiver, value), "wamp.error.invalid_argument")
        await publisher.quit()

    for session in sessions.values():
        equal(await session.quit(), "wamp.close.normal", "reason")


run(main)

"""A session that others try to harm: victim.py NAME SERIALIZER

Subscribes, registers and calls, until its calls are answered with "done"; then it must still be there.
"""

import asyncio
import sys

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, RegisterOptions, SubscribeOptions

from peer import check, equal, join, run, within

LATER = ("wamp.error.no_such_procedure", "com.example.later")


async def victim():
    name, serializer = sys.argv[1:]
    session = await join("ws+" + serializer)
    mine = "com.example.victim." + name

    async def answer(*args, **_):
        # Not every value that arrives can be sent back.
        return 7 if args == (7,) else None

    await within(session.subscribe(lambda *_, **__: None, "com.example.harm", SubscribeOptions(match="prefix")))
    await within(session.register(answer, mine, RegisterOptions()))
    print("ready", flush=True)
    outcomes = 0
    while True:
        check(not session.gone.done() and not session.left.done(), "the session was ended after {}".format(outcomes))
        try:
            options = CallOptions(on_progress=lambda *_, **__: None)
            if await within(session.call("com.example.hostile", name, options=options)) == "done":
                break
            outcomes += 1
        except ApplicationError as error:
            if error.error in LATER:
                await asyncio.sleep(0.02)
            else:
                outcomes += 1
    equal(await within(session.call(mine, 7)), 7, "the answer of its own procedure")
    await session.quit()


run(victim, 120.0)

"""Sessions that vanish without a word leave nothing behind: their calls end, their procedures and subscriptions are gone.

Features: call_canceling."""

import asyncio

from autobahn.wamp.types import PublishOptions

from peer import LINKS, check, equal, join, refused, run, within


async def main():
    witness = await join("ws+cbor")
    for link in LINKS:
        started, interrupted = asyncio.Event(), asyncio.Event()

        async def hang(started=started, interrupted=interrupted):
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                interrupted.set()
                raise

        # The caller vanishes: the callee is interrupted and lives on.
        registration = await within(witness.register(hang, "com.example.vanish"))
        caller = await join(link)
        call = caller.call("com.example.vanish")
        await within(started.wait())
        caller.vanish()
        await within(interrupted.wait())
        await within(registration.unregister())

        # The callee vanishes: the caller gets an answer, and the procedure is free again.
        callee = await join(link)
        started.clear()
        await within(callee.register(hang, "com.example.vanish"))
        await within(callee.subscribe(print, "com.example.vanish"))
        call = witness.call("com.example.vanish")
        await within(started.wait())
        callee.vanish()
        await refused(call, "wamp.error.canceled")
        await refused(witness.call("com.example.vanish"), "wamp.error.no_such_procedure")
        registration = await within(witness.register(lambda: "again", "com.example.vanish"))
        equal(await within(witness.call("com.example.vanish")), "again", "the procedure registered anew")
        await within(witness.publish("com.example.vanish", options=PublishOptions(acknowledge=True)))
        await within(registration.unregister())
    check(witness.is_attached(), "the witness lives on")
    await witness.quit()


run(main)

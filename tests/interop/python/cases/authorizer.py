"""A procedure, and a script of the node, decide what sessions of a role may do."""

import asyncio

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import PublishOptions, RegisterOptions, SubscribeOptions

from peer import check, equal, join, refused, run, within

DENIED = "wamp.error.not_authorized"
FAILED = "wamp.error.authorization_failed"


async def main():
    await by_procedure()
    await by_script()


async def by_procedure():
    authorizer = await join("rs+msgpack")
    eve = await join(user="eve", secret="eve's secret")
    await refused(eve.subscribe(print, "com.example.early"), FAILED)
    asked = []

    async def authorize(details, uri, action, options):
        asked.append((uri, action))
        equal([details["session"], details["authid"]], [eve.details.session, "eve"], "who asks")
        equal([details["realm"], details["authrole"]], ["interop", "asked"], "as what")
        check(details["transport"]["channel_framing"] == "websocket", "how connected")
        if uri == "com.example.pattern.":
            equal(options, {"match": "prefix"}, "options")
        if uri == "com.example.slow":
            await asyncio.sleep(0.3)
        if uri == "com.example.broken":
            raise ApplicationError("com.example.error", "secret of the authorizer")
        if uri == "com.example.nonsense":
            return "yes"
        if uri in ("com.example.cached", "com.example.shown"):
            return {"allow": True, "cache": True, "disclose": True}
        return action == "subscribe" or uri == "com.example.slow"

    await within(authorizer.register(authorize, "com.example.authorize"))
    await within(eve.subscribe(print, "com.example.pattern.", options=SubscribeOptions(match="prefix")))
    await refused(eve.register(print, "com.example.x"), DENIED)
    await refused(eve.call("com.example.x"), DENIED)
    await refused(eve.publish("com.example.x", options=PublishOptions(acknowledge=True)), DENIED)
    error = await refused(eve.call("com.example.broken"), FAILED)
    check("secret" not in str(error.args), "the client is told {}".format(error.args))
    await refused(eve.subscribe(print, "com.example.nonsense"), FAILED)

    # The answers come in the order of the requests, whatever the authorizer takes.
    answers = []

    async def note(name, awaitable):
        try:
            await within(awaitable)
        except ApplicationError as error:
            name += " " + error.error
        answers.append(name)

    acknowledged = PublishOptions(acknowledge=True)
    await asyncio.gather(
        note("slow", eve.publish("com.example.slow", options=acknowledged)),
        note("x", eve.publish("com.example.x", options=acknowledged)),
        note("y", eve.subscribe(print, "com.example.y")),
    )
    equal(answers, ["slow", "x " + DENIED, "y"], "order")

    asked.clear()
    for _ in range(3):
        await within(eve.publish("com.example.cached", options=acknowledged))
    equal(asked, [("com.example.cached", "publish")], "asked once")

    def who(details=None):
        return details.caller_authid

    await within(authorizer.register(who, "com.example.shown", options=RegisterOptions(details_arg="details")))
    equal(await within(eve.call("com.example.shown")), "eve", "disclosed")
    await eve.quit()
    await authorizer.quit()


async def by_script():
    observer = await join()
    sue = await join("ws+json", user="sue", secret="sue's secret")
    await within(sue.subscribe(print, "com.example.authorized.news"))
    await refused(sue.subscribe(print, "com.example.authorized.", options=SubscribeOptions(match="prefix")), DENIED)
    await refused(sue.publish("com.example.authorized.news", options=PublishOptions(acknowledge=True)), DENIED)
    await refused(sue.call("wamp.session.list"), DENIED)
    events = asyncio.Queue()
    options = SubscribeOptions(details_arg="details")
    await within(
        observer.subscribe(
            lambda details: events.put_nowait(details.publisher_authid), "com.example.authorized.sue.x", options
        )
    )
    sue.publish("com.example.authorized.sue.x")
    equal(await within(events.get()), "sue", "disclosed")
    await sue.quit()
    await observer.quit()


run(main)

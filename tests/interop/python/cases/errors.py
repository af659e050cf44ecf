"""Errors reach the caller with their URI, arguments and keywords; those of the router have the URIs of the
specification; nobody learns of what he may not use."""

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import PublishOptions

from peer import check, equal, join, refused, run, within


def fail(*args, **kwargs):
    raise ApplicationError("com.example.error.custom", *args, **kwargs)


def crash():
    raise ValueError("not for the caller's eyes only")


async def main():
    callee, other = await join("ws+cbor"), await join("ws+msgpack.batched")
    limited = await join("ws+json", user="bob", secret="secret1")
    await within(callee.register(fail, "com.example.public.fail"))
    await within(callee.register(crash, "com.example.public.crash"))
    await within(callee.register(lambda: None, "com.example.private"))

    for caller in (limited, other, callee):
        error = await refused(
            caller.call("com.example.public.fail", 1, "two", key={"a": b"\x00\x01"}), "com.example.error.custom"
        )
        equal(list(error.args), [1, "two"], "arguments of the error")
        equal(error.kwargs, {"key": {"a": b"\x00\x01"}}, "keywords of the error")
        error = await refused(caller.call("com.example.public.fail"), "com.example.error.custom")
        equal((list(error.args), error.kwargs or {}), ([], {}), "an error without arguments")
        await refused(caller.call("com.example.public.crash"), "wamp.error.runtime_error")
        await refused(caller.call("com.example.public.missing"), "wamp.error.no_such_procedure")

    for procedure in ("com.example.private", "com.example.missing"):
        await refused(limited.call(procedure), "wamp.error.not_authorized")
        await refused(limited.register(fail, procedure), "wamp.error.not_authorized")
    await refused(limited.subscribe(print, "com.example.private"), "wamp.error.not_authorized")
    acknowledged = PublishOptions(acknowledge=True)
    await refused(limited.publish("com.example.private", options=acknowledged), "wamp.error.not_authorized")

    await refused(other.register(fail, "com.example.private"), "wamp.error.procedure_already_exists")
    await refused(other.register(fail, "wamp.private"), "wamp.error.invalid_uri")
    await refused(other.publish("wamp.private", options=acknowledged), "wamp.error.invalid_uri")
    await refused(other.subscribe(print, "com.example..gap"), "wamp.error.invalid_uri")

    # A publication that is not acknowledged is refused silently, and nobody gets it.
    events = []
    await within(other.subscribe(events.append, "com.example.public.topic"))
    limited.publish("com.example.public.topic", "refused")
    await within(callee.publish("com.example.public.topic", "allowed", options=acknowledged))
    await refused(other.call("com.example.public.missing"), "wamp.error.no_such_procedure")
    equal(events, ["allowed"], "events")
    check(limited.is_attached(), "a refused session lives on")
    for session in (callee, other, limited):
        equal(await session.quit(), "wamp.close.normal", "reason")


run(main)

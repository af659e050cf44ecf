"""Values arrive as they were sent, whatever the transports and serializers of sender and receiver."""

import asyncio

from peer import LINKS, check, equal, join, run, same, within

VALUES = [
    None, True, False,
    0, 1, -1, 23, 24, 127, 128, -128, -129, 255, 256, 65535, 65536, -32769, 2**31, -(2**31) - 1, 2**32,
    2**53, -(2**53), 2**53 - 1,
    0.5, -0.25, 1.5, 0.1, 1e300, -5e-324, 3.141592653589793,
    "", "a", "ä€😀", "quote \" backslash \\ newline \n tab \t nul \u0000 end", "\u2028\u2029", "x" * 40, "y" * 70000,
    b"", b"\x00", bytes(range(256)), b"z" * 70000,
    [], [[]], [[], {}, [None]], {}, {"": ""}, {"a": {"b": {"c": [1, {"d": None}]}}},
    {"binary": b"\xff\xfe", "list": [b"\x00\x01", "text", 1.25]},
    list(range(300)), {"k{}".format(i): i for i in range(300)},
]  # fmt: skip


async def main():
    sessions = {link: await join(link) for link in LINKS}
    for link, session in sessions.items():
        equal(session.details.serializer, link.partition("+")[2], link)
        await within(session.register(lambda *args, **kwargs: (args, kwargs), "com.example.echo." + link[:2] + token(link)))

    for caller in LINKS:
        for callee in LINKS:
            uri = "com.example.echo." + callee[:2] + token(callee)
            what = "call {} -> {}".format(caller, callee)
            args, kwargs = await within(sessions[caller].call(uri, *VALUES, named=VALUES, other={"x": b"\x01"}))
            every(args, VALUES, what)
            every(kwargs["named"], VALUES, what)
            equal(kwargs["other"], {"x": b"\x01"}, what)
            equal(await within(sessions[caller].call(uri)), [[], {}], what + " without arguments")
            equal(await within(sessions[caller].call(uri, a=1)), [[], {"a": 1}], what + " with keywords alone")

    inboxes = {link: asyncio.Queue() for link in LINKS}
    for link, session in sessions.items():
        inbox = inboxes[link]
        handler = lambda *args, inbox=inbox, **kwargs: inbox.put_nowait((args, kwargs))  # noqa: E731
        await within(session.subscribe(handler, "com.example.values"))
    for publisher in LINKS:
        sessions[publisher].publish("com.example.values", *VALUES, named=VALUES)
        for subscriber in LINKS:
            if subscriber != publisher:
                what = "event {} -> {}".format(publisher, subscriber)
                args, kwargs = await within(inboxes[subscriber].get())
                every(args, VALUES, what)
                every(kwargs["named"], VALUES, what)
    for session in sessions.values():
        equal(await session.quit(), "wamp.close.normal", "reason")


def every(got, expected, what):
    equal(len(got), len(expected), what)
    for value, original in zip(got, expected):
        check(same(value, original), "{}: {!r} became {!r}".format(what, short(original), short(value)))


def short(value):
    return value[:40] if isinstance(value, (str, bytes)) else value


def token(link):
    return link.replace("+", "_").replace(".", "_")


run(main)

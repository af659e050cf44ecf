"""Who may join, as whom, and how the others are turned away."""

import asyncio

from peer import LINKS, Peer, Refused, check, equal, join, run, within


async def main():
    for link in LINKS:
        session = await join(link)
        equal(session.details.authrole, "tester", "role over " + link)
        equal(session.details.authmethod, "anonymous", "method over " + link)
        equal(session.details.realm, "interop", "realm over " + link)
        check(session.details.authid, "no authid over " + link)
        check(1 <= session.details.session <= 2**53, "session id over " + link)
        equal(await session.quit(), "wamp.close.normal", "reason over " + link)

    for user, secret, methods, role in [
        ("ada", "ada's secret", ["wampcra"], "tester"),
        ("bob", "secret1", ["wampcra"], "limited"),
        ("tim", "tim's ticket", ["ticket"], "limited"),
        ("tim", "tim's ticket", ["scram", "ticket", "wampcra"], "limited"),
    ]:
        session = await join("ws+json", user=user, secret=secret, methods=methods)
        details = session.details
        equal((details.authid, details.authrole, details.authprovider), (user, role, "static"), user)
        check(details.authmethod in methods, details.authmethod)
        await session.quit()

    for why, kwargs, reason in [
        ("wrong secret", {"user": "ada", "secret": "guess"}, "wamp.error.not_authorized"),
        ("wrong password", {"user": "bob", "secret": "guess"}, "wamp.error.not_authorized"),
        ("wrong ticket", {"user": "tim", "secret": "guess", "methods": ["ticket"]}, "wamp.error.not_authorized"),
        ("nobody", {"user": "nobody", "secret": "guess"}, None),
        ("no such realm", {"realm": "elsewhere"}, "wamp.error.no_such_realm"),
        ("no method", {"user": "ada", "methods": ["scram"], "secret": "x"}, None),
    ]:
        try:
            await join("ws+cbor", **kwargs)
        except Refused as refusal:
            check(reason is None or refusal.reason == reason, "{}: {}".format(why, refusal))
            check(refusal.message and "secret1" not in refusal.message, "{}: {}".format(why, refusal.message))
        else:
            raise AssertionError("{} joined".format(why))

    # Others are not disturbed by one that never says HELLO.
    class Silent(Peer):
        def onConnect(self):
            self.connected.set_result(None)

    made = []

    def silent(config):
        session = Silent(config)
        session.connected = asyncio.get_running_loop().create_future()
        made.append(session)
        return session

    waiting = asyncio.ensure_future(join("ws+cbor", make=silent))
    while not made:
        await asyncio.sleep(0)
    await within(made[0].connected)
    await (await join("ws+cbor")).quit()
    made[0].vanish()
    await asyncio.gather(waiting, return_exceptions=True)


run(main)

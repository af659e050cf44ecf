"""What clients of Crossbar.io rely on: loose URIs, HELLO's authextra, and one refusal for all who may not log in."""

import asyncio

from autobahn.wamp.types import PublishOptions, SubscribeOptions

from peer import Refused, check, equal, join, run, within

AUTHEXTRA = {"place": "kitchen", "shelf": 3}
LOGINS = [
    {},
    {"user": "ada", "secret": "ada's secret"},
    {"user": "tim", "secret": "tim's ticket", "methods": ["ticket"]},
]


async def case():
    for serializer in ("json", "cbor", "msgpack"):
        await uris("ws+" + serializer)
        for login in LOGINS:
            await authextra("ws+" + serializer, login)
    for method in ("wampcra", "ticket"):
        await refusals(method)


async def uris(link):
    session, other = await join(link), await join(link)
    for uri in ("com.company.camelCase", "de.abc-de.test", "BTC_XMR"):
        arrived = asyncio.get_running_loop().create_future()
        await within(session.subscribe(arrived.set_result, uri, SubscribeOptions()))
        await within(session.register(lambda n: n + 1, uri))
        await within(other.publish(uri, 1, options=PublishOptions(acknowledge=True)))
        equal(await within(arrived), 1, "the event of " + uri)
        equal(await within(other.call(uri, 1)), 2, "the result of " + uri)
    await session.quit()
    await other.quit()


async def authextra(link, login):
    """In WELCOME, in wamp.session.on_join and by wamp.session.get."""
    admin = await join(link, user="adm", secret="adm's secret")
    told = asyncio.Queue()
    await within(admin.subscribe(told.put_nowait, "wamp.session.on_join"))
    session = await join(link, authextra=AUTHEXTRA, **login)
    welcomed = session.details.authextra
    joined = await within(told.get())
    equal(joined["session"], session.details.session, "who joined")
    details = await within(admin.call("wamp.session.get", joined["session"]))
    for where, got in (("WELCOME", welcomed), ("on_join", joined["authextra"]), ("session.get", details["authextra"])):
        equal({key: got[key] for key in AUTHEXTRA}, AUTHEXTRA, where)
    await session.quit()
    await admin.quit()


async def refusals(method):
    """The names of users do not show in how they are refused."""
    user = {"wampcra": "ada", "ticket": "tim"}[method]
    refused = []
    for name in (user, "nobody_at_all"):
        try:
            await join(methods=[method], user=name, secret="wrong")
        except Refused as error:
            refused.append((error.reason, error.message))
    equal(len(refused), 2, "refusals")
    check(refused[0] == refused[1], "{} differs from {}".format(*refused))


run(case)

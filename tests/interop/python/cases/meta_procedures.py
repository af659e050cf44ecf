"""An administrator looks at sessions, registrations and subscriptions, and ends some of them.

Features: session_meta_api, registration_meta_api, subscription_meta_api."""

import re

from autobahn.wamp.types import RegisterOptions, SubscribeOptions

from peer import check, equal, join, refused, run, within


async def main():
    # Session ids do not fit 32 bits: each serializer has its own way with them.
    for link in ("ws+cbor", "ws+msgpack", "ws+json"):
        admin = await join(link, user="adm", secret="adm's secret")
        await sessions(admin)
        await registrations(admin)
        await subscriptions(admin)
        await kills(admin)
        await admin.quit()
    await others_only_with_a_rule_of_its_own()


async def sessions(admin):
    tester = await join("ws+cbor", user="ada", secret="ada's secret")
    other = await join("rs+json")
    ids = [peer.details.session for peer in (admin, tester, other)]
    equal(await within(admin.call("wamp.session.count")), 3, "count")
    equal(await within(admin.call("wamp.session.count", ["tester"])), 2, "testers")
    equal(await within(admin.call("wamp.session.list")), sorted(ids), "list")
    equal(await within(admin.call("wamp.session.list", ["admin", "limited"])), [ids[0]], "list of admins")
    details = await within(admin.call("wamp.session.get", ids[1]))
    transport = details.pop("transport")
    expected = {
        "session": ids[1],
        "authid": "ada",
        "authrole": "tester",
        "authmethod": "wampcra",
        "authprovider": "static",
    }
    equal(details, expected, "details")
    equal(transport["channel_framing"], "websocket", "framing")
    check("http_headers_received" not in transport, "headers are told")
    await refused(admin.call("wamp.session.get", 1), "wamp.error.no_such_session")
    await refused(admin.call("wamp.session.get", "x"), "wamp.error.invalid_argument")
    await tester.quit()
    await other.quit()


async def registrations(admin):
    callees = [await join("ws+cbor"), await join("rs+msgpack")]
    shared = RegisterOptions(invoke="roundrobin")
    held = [await within(callee.register(lambda: None, "com.example.meta.shared", options=shared)) for callee in callees]
    prefix = await within(
        callees[0].register(lambda: None, "com.example.meta.", options=RegisterOptions(match="prefix"))
    )
    call = admin.call
    lists = await within(call("wamp.registration.list"))
    equal(lists, {"exact": [held[0].id], "prefix": [prefix.id], "wildcard": []}, "registrations")
    equal(await within(call("wamp.registration.lookup", "com.example.meta.shared")), held[0].id, "exact")
    options = {"match": "prefix"}
    equal(await within(call("wamp.registration.lookup", "com.example.meta.", options)), prefix.id, "prefix")
    equal(await within(call("wamp.registration.lookup", "com.example.meta.")), None, "not exact")
    equal(await within(call("wamp.registration.match", "com.example.meta.x")), prefix.id, "match")
    equal(await within(call("wamp.registration.match", "org.x")), None, "no match")
    details = await within(call("wamp.registration.get", held[0].id))
    check(re.fullmatch("[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z", details.pop("created")), "created is a time")
    expected = {"id": held[0].id, "uri": "com.example.meta.shared", "match": "exact", "invoke": "roundrobin"}
    equal(details, expected, "details of a registration")
    ids = [callee.details.session for callee in callees]
    equal(await within(call("wamp.registration.list_callees", held[0].id)), ids, "callees")
    equal(await within(call("wamp.registration.count_callees", held[0].id)), 2, "count of callees")
    await refused(call("wamp.registration.get", 2**53), "wamp.error.no_such_registration")
    equal(await within(call("wamp.registration.remove_callee", held[0].id, ids[0])), None, "remove_callee")
    equal(await within(call("wamp.registration.list_callees", held[0].id)), ids[1:], "the other callee")
    for callee in callees:
        await callee.quit()


async def subscriptions(admin):
    # Those whose history is kept are there without subscribers too.
    kept = await within(admin.call("wamp.subscription.list"))
    subscribers = [await join("ws+cbor"), await join("rs+msgpack")]
    held = [await within(peer.subscribe(print, "com.example.meta.news")) for peer in subscribers]
    wildcard = await within(
        subscribers[0].subscribe(print, "com..meta.news", options=SubscribeOptions(match="wildcard"))
    )
    call = admin.call
    lists = await within(call("wamp.subscription.list"))
    new = {policy: [id for id in ids if id not in kept[policy]] for policy, ids in lists.items()}
    equal(new, {"exact": [held[0].id], "prefix": [], "wildcard": [wildcard.id]}, "subscriptions")
    equal(await within(call("wamp.subscription.lookup", "com.example.meta.news")), held[0].id, "exact")
    options = {"match": "wildcard"}
    equal(await within(call("wamp.subscription.lookup", "com..meta.news", options)), wildcard.id, "wildcard")
    equal(await within(call("wamp.subscription.match", "com.example.meta.news")), [held[0].id, wildcard.id], "match")
    equal(await within(call("wamp.subscription.match", "org.x")), None, "no match")
    details = await within(call("wamp.subscription.get", wildcard.id))
    check(re.fullmatch("[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z", details.pop("created")), "created is a time")
    equal(details, {"id": wildcard.id, "uri": "com..meta.news", "match": "wildcard"}, "details of a subscription")
    ids = [peer.details.session for peer in subscribers]
    equal(await within(call("wamp.subscription.list_subscribers", held[0].id)), ids, "subscribers")
    equal(await within(call("wamp.subscription.count_subscribers", held[0].id)), 2, "count of subscribers")
    await refused(call("wamp.subscription.get", 2**53), "wamp.error.no_such_subscription")
    equal(await within(call("wamp.subscription.remove_subscriber", held[0].id, ids[0])), None, "remove_subscriber")
    equal(await within(call("wamp.subscription.list_subscribers", held[0].id)), ids[1:], "the other subscriber")
    for peer in subscribers:
        await peer.quit()


async def kills(admin):
    call, own = admin.call, admin.details.session
    await refused(call("wamp.session.kill", own), "wamp.error.no_such_session")
    peer = await join()
    await refused(call("wamp.session.kill", peer.details.session, reason="no uri"), "wamp.error.invalid_uri")
    reason, message = "com.example.meta.enough", "time to go"
    equal(await within(call("wamp.session.kill", peer.details.session, reason=reason, message=message)), None, "kill")
    closed = await within(peer.left)
    equal([closed.reason, closed.message], [reason, message], "GOODBYE")

    adas = [await join(user="ada", secret="ada's secret") for _ in range(2)]
    killed = await within(call("wamp.session.kill_by_authid", "ada"))
    equal(killed, sorted(ada.details.session for ada in adas), "kill_by_authid")
    for ada in adas:
        equal((await within(ada.left)).reason, "wamp.close.killed", "default reason")
    equal(await within(call("wamp.session.kill_by_authid", "adm")), [], "not the caller")

    peers = [await join(), await join("rs+cbor")]
    equal(await within(call("wamp.session.kill_by_authrole", "tester")), 2, "kill_by_authrole")
    for peer in peers:
        await within(peer.gone)
    peers = [await join(), await join("rs+cbor")]
    equal(await within(call("wamp.session.kill_all")), 2, "kill_all")
    for peer in peers:
        await within(peer.gone)
    equal(await within(call("wamp.session.list")), [own], "who is left")


async def others_only_with_a_rule_of_its_own():
    """The blanket rule of the testers lets them be told, but not touch others."""
    tester = await join()
    equal(tester.details.session in await within(tester.call("wamp.session.list")), True, "the tester in the list")
    for procedure in ("wamp.session.kill_all", "wamp.registration.remove_callee"):
        await refused(tester.call(procedure), "wamp.error.not_authorized")
    await tester.quit()


run(main)

"""Sessions for the programs of cases/: Autobahn under asyncio, over any transport of the router under test.

The router's addresses come from the environment: WAMP_WS (a WebSocket URL), WAMP_RS (host:port of a RawSocket listener)
and WAMP_UNIX (path of one).
"""

import asyncio
import os
import sys

import txaio
from autobahn.asyncio.rawsocket import WampRawSocketClientFactory
from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp import auth
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import ComponentConfig

from serializers import named

REALM = "interop"
PATIENCE = 20.0

# A link is a transport and a serializer.
WEBSOCKET = ["ws+" + s for s in ("cbor.batched", "cbor", "msgpack.batched", "msgpack", "json.batched", "json")]
RAWSOCKET = ["rs+" + s for s in ("cbor", "msgpack", "json")]
UNIX = ["unix+" + s for s in ("cbor", "msgpack", "json")]
LINKS = WEBSOCKET + RAWSOCKET + UNIX


class Refused(Exception):
    """The router answered HELLO or AUTHENTICATE with ABORT."""

    def __init__(self, details):
        super().__init__("{}: {}".format(details.reason, details.message))
        self.reason = details.reason
        self.message = details.message


class Peer(ApplicationSession):
    """A session that tells of its life in futures: `joined`, `left` (CloseDetails) and `gone`."""

    def __init__(self, config):
        super().__init__(config)
        loop = asyncio.get_running_loop()
        self.joined = loop.create_future()
        self.left = loop.create_future()
        self.gone = loop.create_future()

    def onConnect(self):
        hello = self.config.extra
        self.join(self.config.realm, hello["methods"], hello["user"], authextra=hello.get("authextra"))

    def onChallenge(self, challenge):
        secret = self.config.extra["secret"]
        if challenge.method == "ticket":
            return secret
        if "salt" in challenge.extra:
            extra = challenge.extra
            secret = auth.derive_key(secret, extra["salt"], extra["iterations"], extra["keylen"])
        return auth.compute_wcs(secret, challenge.extra["challenge"])

    def onJoin(self, details):
        self.details = details
        self.joined.set_result(details)

    def onLeave(self, details):
        if not self.joined.done():
            self.joined.set_exception(Refused(details))
        if not self.left.done():
            self.left.set_result(details)
        self.disconnect()

    def onDisconnect(self):
        if not self.joined.done():
            self.joined.set_exception(ConnectionError("disconnected before joining"))
        if not self.gone.done():
            self.gone.set_result(None)

    def onUserError(self, failure, message):
        """Errors of procedures are part of the cases: nothing to log."""

    def vanish(self):
        """Ends the connection without GOODBYE or close handshake."""
        self._transport.transport.abort()

    async def quit(self):
        """Leaves and waits until the connection is gone; returns the reason of the router's GOODBYE."""
        self.leave()
        reason = (await within(self.left)).reason
        await within(self.gone)
        return reason


async def join(link="ws+cbor", realm=REALM, methods=None, user=None, secret=None, make=Peer, authextra=None):
    """A joined session over `link`; anonymous unless there is a user, with WAMP-CRA unless `methods` says otherwise."""
    if methods is None:
        methods = ["wampcra"] if user else ["anonymous"]
    extra = {"methods": methods, "user": user, "secret": secret, "authextra": authextra}
    made = asyncio.get_running_loop().create_future()

    def session():
        made.set_result(make(ComponentConfig(realm, extra)))
        return made.result()

    await connect(link, session)
    session = await within(made)
    await within(session.joined)
    return session


async def connect(link, session):
    """Opens the transport of `link` for what `session` makes."""
    loop = asyncio.get_running_loop()
    txaio.config.loop = loop
    transport, _, serializer = link.partition("+")
    if transport == "ws":
        url = os.environ["WAMP_WS"]
        factory = WampWebSocketClientFactory(session, url=url, serializers=[named(serializer)], loop=loop)
        limit = 64 * 1024 * 1024
        factory.setProtocolOptions(
            maxFramePayloadSize=limit, maxMessagePayloadSize=limit, autoFragmentSize=65536, closeHandshakeTimeout=5
        )
        connecting = loop.create_connection(factory, factory.host, factory.port)
    else:
        factory = WampRawSocketClientFactory(session, serializer=named(serializer))
        if transport == "rs":
            host, _, port = os.environ["WAMP_RS"].rpartition(":")
            connecting = loop.create_connection(factory, host, int(port))
        else:
            connecting = loop.create_unix_connection(factory, os.environ["WAMP_UNIX"])
    await within(connecting)


async def within(awaitable, seconds=PATIENCE):
    """Awaits, but not for ever."""
    return await asyncio.wait_for(awaitable, seconds)


async def refused(awaitable, error):
    """The ApplicationError with this URI that `awaitable` must end with."""
    try:
        result = await within(awaitable)
    except ApplicationError as e:
        check(e.error == error, "refused with {} instead of {}: {}".format(e.error, error, e.args))
        return e
    raise AssertionError("expected {}, got {!r}".format(error, result))


def check(condition, otherwise):
    """An assertion that no interpreter option removes."""
    if not condition:
        raise AssertionError(otherwise)


def equal(got, expected, what):
    """Checks that two values are the same, types included."""
    check(same(got, expected), "{}: got {!r}, expected {!r}".format(what, got, expected))


def same(a, b):
    """Equality that tells 1 from 1.0 and True."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


def run(case, seconds=60.0):
    """Runs an `async def case()`; the program's exit status says how it went."""
    txaio.use_asyncio()
    txaio.start_logging(out=sys.stderr, level="error")
    asyncio.run(within(case(), seconds))

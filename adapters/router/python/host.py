"""Runs Python functions and components for wampd: see HOST_PROTOCOL.md.

wampd gives this text to the interpreter as the first line of the standard input; the lines that follow are requests, and
answers go to what was the standard output. What the user's code prints goes to the standard error, which is the log.
"""

import base64
import importlib
import inspect
import json
import os
import re
import sys
import threading
import traceback

# How long user code may take to end once wampd is gone.
FAREWELL = 2.0


class Controller:
    """Given to functions with expose_controller: there is no controller of Crossbar.io behind it."""

    def __getattr__(self, name):
        raise AttributeError("wampd has no controller: nothing is known about its {!r}".format(name))


class AsyncioLoop:
    def __init__(self):
        import asyncio

        self.asyncio = asyncio
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.tasks = set()

    def start(self, function, arguments, done):
        async def work():
            try:
                value = function(*arguments)
                if inspect.isawaitable(value):
                    value = await value
            except GeneratorExit:
                raise  # the process ends
            # Code that wants to end the process for one question does not end it for the others.
            except BaseException as error:
                done(None, error)
            else:
                done(value, None)

        # A loop holds its tasks weakly.
        task = self.loop.create_task(work())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def from_thread(self, function, *arguments):
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # it is closed already

    def run(self):
        self.loop.run_forever()

    def stop(self):
        self.loop.stop()


class TwistedLoop:
    def __init__(self):
        from twisted.internet import defer, reactor

        self.defer = defer
        self.reactor = reactor

    def start(self, function, arguments, done):
        def work():
            value = function(*arguments)
            return self.defer.ensureDeferred(value) if inspect.iscoroutine(value) else value

        def failed(failure):
            done(None, failure.value)

        self.defer.maybeDeferred(work).addCallbacks(lambda value: done(value, None), failed)

    def from_thread(self, function, *arguments):
        self.reactor.callFromThread(function, *arguments)

    def run(self):
        self.reactor.run()

    def stop(self):
        from twisted.internet.error import ReactorNotRunning

        try:
            self.reactor.stop()
        except ReactorNotRunning:
            pass  # it has been stopped before


def uses_twisted():
    """Whether the modules loaded so far are for Twisted."""
    txaio = sys.modules.get("txaio")
    if txaio is not None and getattr(txaio, "using_asyncio", False):
        return False
    return "twisted.internet" in sys.modules


def load(name):
    """The module and the object that a dotted name means; what it logs by txaio goes to the log."""
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ValueError("{!r} has no module: write MODULE.NAME".format(name))
    choose_framework_late()
    loaded = getattr(importlib.import_module(module), attribute)
    start_logging()
    return loaded


def choose_framework_late():
    """Code for Crossbar.io may take a logger of txaio without having chosen between Twisted and asyncio: there it is chosen."""
    try:
        import txaio
    except ImportError:
        return

    def make_logger(*arguments, **options):
        if not (txaio.using_twisted or txaio.using_asyncio):
            try:
                txaio.use_twisted()
            except ImportError:
                txaio.use_asyncio()
        return txaio.make_logger(*arguments, **options)

    if not (txaio.using_twisted or txaio.using_asyncio):
        txaio.make_logger = make_logger


def start_logging():
    txaio = sys.modules.get("txaio")
    if txaio is None or not (txaio.using_twisted or txaio.using_asyncio):
        return
    # Twisted would take over what is printed, too.
    streams = sys.stdout, sys.stderr
    txaio.start_logging(out=sys.stderr, level="info")
    sys.stdout, sys.stderr = streams


class Channel:
    """Requests from wampd and answers to it."""

    def __init__(self):
        self.requests = os.fdopen(os.dup(0), "rb", buffering=0)
        self.answers = os.fdopen(os.dup(1), "wb", buffering=0)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)
        self.pending = b""

    def receive(self):
        """The next request; None when wampd is gone."""
        while b"\n" not in self.pending:
            data = self.requests.read(65536)
            if not data:
                return None
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            number = re.match(rb'{"id":(\d+),', line)
            if number is None:
                raise
            return {"id": int(number[1]), "unreadable": error}

    def send(self, answer):
        data = memoryview(json.dumps(answer, default=binary, allow_nan=False).encode() + b"\n")
        while data:
            data = data[self.answers.write(data) :]


def binary(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\0" + base64.b64encode(value).decode()
    raise TypeError("{} can not be sent as JSON".format(type(value).__name__))


def refusal(error):
    """What to answer for an exception: an ApplicationError is the function's word, anything else its failure."""
    if any(kind.__name__ == "ApplicationError" for kind in type(error).__mro__):
        message = error.args[0] if error.args and isinstance(error.args[0], str) else ""
        return {"error": str(error.error), "message": message}
    traceback.print_exception(type(error), error, error.__traceback__)
    return {"failed": type(error).__name__}


class Functions:
    """One function, made by the first request and called by the others."""

    def __init__(self, channel, create):
        self.channel = channel
        self.create = create
        self.function = None

    def run(self):
        try:
            create = load(self.create["function"])
        except Exception as error:
            self.answer(self.create["id"], None, error)
            return
        self.loop = TwistedLoop() if uses_twisted() else AsyncioLoop()
        controller = Controller() if self.create["controller"] else None
        number = self.create["id"]
        self.loop.from_thread(self.loop.start, create, (self.create["config"], controller), self.created(number))
        threading.Thread(target=self.read, daemon=True).start()
        self.loop.run()

    def created(self, number):
        def done(function, error):
            if error is None and not callable(function):
                error = TypeError("a function is expected, not {}".format(type(function).__name__))
            self.function = function
            self.answer(number, None, error)

        return done

    def read(self):
        while True:
            request = self.channel.receive()
            if request is None:
                break
            self.loop.from_thread(self.ask, request)
        leave(self.loop)

    def ask(self, request):
        number = request["id"]
        if "unreadable" in request:
            self.answer(number, None, request["unreadable"])
            return
        self.loop.start(self.function, request["args"], lambda value, error: self.answer(number, value, error))

    def answer(self, number, value, error):
        """The id comes first: wampd fails the question alone if it cannot use the rest."""
        try:
            answer = {"result": value} if error is None else refusal(error)
            self.channel.send({"id": number, **answer})
        except BrokenPipeError:
            raise  # wampd is gone
        except BaseException as problem:
            # It is not JSON, it is nested too deeply, or a part of it cannot be read.
            traceback.print_exception(type(problem), problem, problem.__traceback__)
            self.channel.send({"id": number, "failed": type(problem).__name__})


class Component:
    """A session of a class, until it ends."""

    def __init__(self, channel, request):
        self.channel = channel
        self.request = request
        self.status = 1

    def run(self):
        session_class = load(self.request["component"])
        from autobahn.wamp.types import ComponentConfig

        self.loop = TwistedLoop() if uses_twisted() else AsyncioLoop()
        config = ComponentConfig(self.request["realm"], self.request["extra"])

        def create():
            session = session_class(config)
            session.on("ready", lambda *_, **__: self.channel.send({"id": 0, "result": None}))
            session.on("leave", self.left)
            session.on("disconnect", lambda *_, **__: self.loop.from_thread(self.loop.stop))
            return session

        threading.Thread(target=self.wait, daemon=True).start()
        self.loop.from_thread(self.loop.start, self.connect, (create,), self.connected)
        self.loop.run()
        sys.exit(self.status)

    def connect(self, create):
        transport = self.request["transport"]
        endpoint = transport["endpoint"]
        if isinstance(self.loop, TwistedLoop):
            from autobahn.twisted import rawsocket, websocket

            return twisted_endpoint(self.loop.reactor, endpoint).connect(factory(rawsocket, websocket, create, transport))
        import txaio
        from autobahn.asyncio import rawsocket, websocket

        txaio.config.loop = self.loop.loop
        made = factory(rawsocket, websocket, create, transport)
        if endpoint["type"] == "unix":
            return self.loop.loop.create_unix_connection(made, endpoint["path"])
        tls = endpoint["tls"]
        context, name = (None, None) if tls is None else (ssl_context(tls), tls["hostname"])
        return self.loop.loop.create_connection(
            made, endpoint["host"], endpoint["port"], ssl=context, server_hostname=name
        )

    def connected(self, _, error):
        if error is not None:
            traceback.print_exception(type(error), error, error.__traceback__)
            self.loop.stop()

    def left(self, session, details):
        """A component that leaves of its own will has ended well."""
        if details.reason == "wamp.close.normal":
            self.status = 0

    def wait(self):
        while self.channel.receive() is not None:
            pass
        leave(self.loop)


def factory(rawsocket, websocket, create, transport):
    """What makes the protocol of a component, from one of Autobahn's two families of modules."""
    from autobahn.wamp import serializer as known

    names = {"json": "Json", "cbor": "CBOR", "msgpack": "MsgPack", "ubjson": "UBJSON", "flatbuffers": "FlatBuffers"}
    serializers = [getattr(known, names[name] + "Serializer")() for name in transport["serializers"]]
    if transport["type"] == "rawsocket":
        return rawsocket.WampRawSocketClientFactory(create, serializer=serializers[0] if serializers else None)
    return websocket.WampWebSocketClientFactory(create, url=transport["url"], serializers=serializers or None)


def twisted_endpoint(reactor, endpoint):
    from twisted.internet import endpoints

    if endpoint["type"] == "unix":
        return endpoints.UNIXClientEndpoint(reactor, endpoint["path"])
    tcp = endpoints.HostnameEndpoint(reactor, endpoint["host"], endpoint["port"])
    tls = endpoint["tls"]
    if tls is None:
        return tcp
    from twisted.internet import ssl  # which needs pyOpenSSL

    authorities = [ssl.Certificate.loadPEM(contents(path)) for path in tls["ca_certificates"]]
    me = tls["certificate"] and ssl.PrivateCertificate.loadPEM(contents(tls["key"]) + contents(tls["certificate"]))
    options = ssl.optionsForClientTLS(
        tls["hostname"] or endpoint["host"],
        trustRoot=ssl.trustRootFromCertificates(authorities) if authorities else None,
        clientCertificate=me or None,
    )
    return endpoints.wrapClientTLS(options, tcp)


def ssl_context(tls):
    import ssl

    context = ssl.create_default_context()
    for path in tls["ca_certificates"]:
        context.load_verify_locations(path)
    if tls["certificate"]:
        context.load_cert_chain(tls["certificate"], tls["key"])
    return context


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def leave(loop):
    """wampd is gone or wants this process to end."""
    timer = threading.Timer(FAREWELL, os._exit, (0,))
    timer.daemon = True
    timer.start()
    loop.from_thread(loop.stop)


def main():
    channel = Channel()
    request = channel.receive()
    if request is None:
        return
    sys.path[:0] = request["path"]
    (Component if "component" in request else Functions)(channel, request).run()


main()

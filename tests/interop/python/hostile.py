"""A session that harms whom it can: hostile.py PORT VICTIM...

Speaks RawSocket with each serializer in turn and sends the victims what a conforming receiver has to refuse: as their
publisher, their caller and their callee. Where the router ends it for that, it joins again. The victims call
`com.example.hostile` until they get "done".
"""

import json
import socket
import struct
import sys

import cbor2
import msgpack

PATIENCE = 30.0
FEATURES = {"progressive_call_results": True, "call_canceling": True}
ROLES = {role: {"features": FEATURES} for role in ("caller", "callee", "publisher", "subscriber")}

SERIALIZERS = {
    "json": (1, lambda value: json.dumps(value).encode(), json.loads),
    "msgpack": (2, msgpack.packb, lambda data: msgpack.unpackb(data, strict_map_key=False)),
    "cbor": (3, cbor2.dumps, cbor2.loads),
}

# Options of payloads in a form of their own, which this session has not announced.
OPTIONS = [
    {"enc_algo": "bogus"},
    {"enc_algo": "cryptobox", "enc_serializer": "json"},
    {"enc_algo": "x_own", "enc_key": "key"},
    {"enc_algo": 7},
    {"enc_key": "key"},
    {"ppt_scheme": "wamp", "ppt_serializer": "cbor"},
    {"ppt_scheme": "x_own"},
    {"ppt_scheme": ["x_own"]},
]
URIS = ["", "not a uri #!", "No Such!", "com..example", "com.example.\x1c", "com.example.\x1fx", "\x00", "#"]
# Keyword arguments whose keys are no text, where the serializer can say so.
KEYS = [{1: 2}, {b"key": 1}, {True: 1}, {-1: {2: 3}}]
# Values as bytes: not every receiver takes them.
VALUES = {
    "json": [rb'"\u0000zz"', rb'"\u0000A"', rb'"cut \ud83d"', rb'"\udc00"', b"1E400", b"-1e999", b"1" * 400, b'{"\\u0000": 1}'],
    "msgpack": [
        b"\xd6\xff\x00\x00\x00\x01",  # a timestamp
        b"\xd4\x01\x00",  # an extension
        b"\xcb\x7f\xf8" + bytes(6),  # NaN
        b"\xcb\x7f\xf0" + bytes(6),  # infinity
        b"\x81\x01\x02",  # {1: 2}
        b"\x81\xc4\x01k\x02",  # {b"k": 2}
        b"\xc4\x02\xff\xfe",  # binary
        b"\xcf" + b"\xff" * 8,  # 2^64 - 1
        b"\xa3\x00zz",  # text that begins with U+0000
    ],
    "cbor": [
        b"\xc0\x61x",  # tags around what they cannot hold
        b"\xc1\xc1\x01",
        b"\xc2\x61x",
        b"\xc4\x01",
        b"\xc5\x61x",
        b"\xc0\x74" + b"2026-01-01T00:00:00Z",
        b"\xc1\x01",
        b"\xc2\x49\x40" + bytes(8),  # 2^70
        b"\xc4\x82\x01\x02",
        b"\xd8\x25\x50" + bytes(16),  # a UUID
        b"\xf9\x7e\x00",  # NaN
        b"\xf9\x7c\x00",  # infinity
        b"\xf7",  # undefined
        b"\xe0",  # simple values
        b"\xf8\x20",
        b"\xa1\x01\x02",  # {1: 2}
        b"\xa1\x41k\x02",  # {b"k": 2}
        b"\x1b" + b"\xff" * 8,  # 2^64 - 1
        b"\x3b" + b"\xff" * 8,  # -2^64
        b"\x63\x00zz",  # text that begins with U+0000
    ],
}
# Tags of CBOR that decoders know, and what may stand behind them.
TAGS = [*range(40), 51, 52, 54, *range(64, 88), 100, 105, 256, *range(258, 262), 1004, 40010, 43000, 57337, 55799, 2**32 - 1]
CONTENTS = [b"\x00", b"\x61(", b"\x41\x01", b"\x44" + bytes(4), b"\x80", b"\x82\x01\x00", b"\xa0", b"\xf6", b"\xf5"]
# A payload that the router is not to look into.
OPAQUE = {"json": rb'"\u0000AQID"', "msgpack": b"\xc4\x03\x01\x02\x03", "cbor": b"\x43\x01\x02\x03"}
MARK = "a mark that is replaced"


class Ended(Exception):
    """The router has ended the session."""


class Session:
    """A joined RawSocket session that sends whatever it is told."""

    def __init__(self, port, serializer):
        code, self.dumps, self.loads = SERIALIZERS[serializer]
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.sendall(bytes([0x7F, 0xF0 | code, 0, 0]))
        self.read(4)
        self.request = 0
        self.send([1, "interop", {"roles": ROLES, "authmethods": ["anonymous"]}])
        if self.receive()[0] != 2:
            raise AssertionError("no WELCOME")

    def read(self, length):
        data = b""
        while len(data) < length:
            try:
                more = self.socket.recv(length - len(data))
            except ConnectionError:
                more = b""
            if not more:
                raise Ended
            data += more
        return data

    def send(self, message, value=None):
        """Sends a message; `value` are the bytes to stand where MARK stands in it."""
        data = self.dumps(message)
        if value is not None:
            data = data.replace(self.dumps(MARK), value)
        try:
            self.socket.sendall(struct.pack(">I", len(data)) + data)
        except ConnectionError:
            raise Ended from None

    def receive(self):
        """The next message; Ended where it says that the session is over."""
        while True:
            head = self.read(4)
            data = self.read(int.from_bytes(head[1:], "big"))
            if head[0] == 0:
                break
        message = self.loads(data)
        if message[0] in (3, 6):
            raise Ended
        return message

    def next(self):
        self.request += 1
        return self.request


def answers(serializer):
    """What the hostile callee answers, as (message without the id of the invocation, bytes for MARK)."""
    for options in OPTIONS:
        yield (70, (options, [])), None
        yield (70, (options, MARK)), OPAQUE[serializer]
        yield (8, (options, "com.example.error", [])), None
        yield (8, (options, "com.example.error", MARK)), OPAQUE[serializer]
    yields = [({}, [], kwargs) for kwargs in KEYS if serializer != "json"]
    yields += [({}, None, {"a": 1}), ({"progress": True}, [1])]
    for rest in yields:
        yield (70, rest), None
    for uri in URIS:
        yield (8, ({}, uri)), None
    yield (8, ({}, "com.example.error", None, {"a": 1})), None
    for value in VALUES[serializer]:
        yield (70, ({}, [MARK], {"value": MARK})), value
        yield (8, ({}, "com.example.error", [MARK], {"value": MARK})), value


def requests(serializer, victims):
    """What it publishes to the victims and calls them with, likewise without the id of the request."""
    targets = [(16, {"acknowledge": True}, "com.example.harm.topic")]
    targets += [(48, {}, "com.example.victim." + name) for name in victims]
    for code, options, uri in targets:
        for more in OPTIONS:
            yield (code, ({**options, **more}, uri, [1])), None
            yield (code, ({**options, **more}, uri, MARK)), OPAQUE[serializer]
        for kwargs in KEYS if serializer != "json" else []:
            yield (code, (options, uri, [], kwargs)), None
        yield (code, (options, uri, None, {"a": 1})), None
        for value in VALUES[serializer]:
            yield (code, (options, uri, [MARK], {"value": MARK})), value
    for uri in URIS:
        yield (16, ({"acknowledge": True}, "com.example.harm." + uri)), None
    # Each tag around each kind of value, to whoever subscribes.
    for tag in TAGS if serializer == "cbor" else []:
        for content in CONTENTS:
            yield (16, ({"acknowledge": True}, "com.example.harm.topic", [MARK])), cbor_head(0xC0, tag) + content


def cbor_head(major, argument):
    """The shortest head of an item of CBOR."""
    if argument < 24:
        return bytes([major | argument])
    length = next(length for length in (1, 2, 4, 8) if argument < 1 << 8 * length)
    return bytes([major | 23 + length.bit_length()]) + argument.to_bytes(length, "big")


class Hostile:
    def __init__(self, port, victims):
        self.port, self.victims = port, victims
        self.ends = 0

    def attack(self, serializer, last):
        self.serializer = serializer
        # How many of the answers each victim has had.
        self.answers = list(answers(serializer))
        self.had = dict.fromkeys(self.victims, 0)
        self.done = set() if last else None
        self.session = None
        for request, value in requests(serializer, self.victims):
            self.attempt(lambda: self.ask(request, value))
        while any(had < len(self.answers) for had in self.had.values()) or (last and self.done != set(self.victims)):
            self.attempt(self.serve)
        if self.session:
            self.session.socket.close()

    def attempt(self, do):
        try:
            if self.session is None:
                self.session = Session(self.port, self.serializer)
                self.session.send([64, self.session.next(), {"invoke": "last"}, "com.example.hostile"])
            do()
        except Ended:
            self.ends += 1
            self.session.socket.close()
            self.session = None

    def ask(self, request, value):
        """Sends a request and serves until it is answered."""
        code, rest = request
        number = self.session.next()
        self.session.send([code, number, *rest], value)
        while True:
            message = self.serve()
            # PUBLISHED and RESULT name the request first, ERROR after its type.
            if message[0] in (17, 50) and message[1] == number or message[0] == 8 and message[2] == number:
                return

    def serve(self):
        """Takes the next message, answers it if it is an invocation, and returns it."""
        message = self.session.receive()
        if message[0] == 68:
            invocation, name = message[1], message[4][0]
            had = self.had[name]
            if had < len(self.answers):
                self.had[name] += 1
                (code, rest), value = self.answers[had]
                head = [70, invocation] if code == 70 else [8, 68, invocation]
                self.session.send([*head, *rest], value)
                if rest[0].get("progress"):
                    self.session.send([*head, {}, [2]])
            elif self.done is None:
                # Another serializer comes after this one.
                self.session.send([8, 68, invocation, {}, "com.example.later"])
            else:
                self.session.send([70, invocation, {}, ["done"]])
                self.done.add(name)
        return message


def main():
    port, victims = int(sys.argv[1]), sys.argv[2:]
    hostile = Hostile(port, victims)
    serializers = list(SERIALIZERS)
    for serializer in serializers:
        hostile.attack(serializer, serializer == serializers[-1])
    print("ended {} times".format(hostile.ends))


main()

"""A payload codec of the clients: the router passes opaque bytes on, whatever the serializers of sender and receiver.

Features: payload_transparency."""

import asyncio
import json

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.interfaces import IPayloadCodec
from autobahn.wamp.types import EncodedPayload

from peer import LINKS, check, equal, join, run, within

URI = "com.example.codec"


class Codec(IPayloadCodec):
    """Turns payloads into bytes that no serializer would make of them."""

    def encode(self, is_originating, uri, args=None, kwargs=None):
        text = json.dumps([uri, args, kwargs]).encode()
        payload = bytes(byte ^ 0xA5 for byte in text)
        return EncodedPayload(payload, "x_interop", "json", "key of " + uri)

    def decode(self, is_originating, uri, encoded):
        check(encoded.enc_algo == "x_interop", "enc_algo: {!r}".format(encoded.enc_algo))
        check(encoded.enc_serializer == "json", "enc_serializer: {!r}".format(encoded.enc_serializer))
        check(encoded.enc_key.startswith("key of "), "enc_key: {!r}".format(encoded.enc_key))
        text = bytes(byte ^ 0xA5 for byte in encoded.payload)
        return json.loads(text.decode())


def called(n, text=None):
    if n < 0:
        raise ApplicationError("com.example.error", n, text=text)
    return [n, text]


async def main():
    for receiver in LINKS:
        callee = await join(receiver)
        callee.set_payload_codec(Codec())
        events = asyncio.Queue()
        await within(callee.register(called, URI))
        await within(callee.subscribe(lambda n, text=None: events.put_nowait((n, text)), URI))
        for sender in ("ws+cbor.batched", "ws+json", "rs+msgpack", "unix+cbor"):
            caller = await join(sender)
            caller.set_payload_codec(Codec())
            what = "{} -> {}".format(sender, receiver)
            equal(await within(caller.call(URI, 7, text="a\u20ac")), [7, "a\u20ac"], what)
            caller.publish(URI, 8, text="b")
            equal(await within(events.get()), (8, "b"), what)
            try:
                await within(caller.call(URI, -1, text="c"))
                raise AssertionError("no error: " + what)
            except ApplicationError as e:
                equal((e.error, list(e.args), e.kwargs), ("com.example.error", [-1], {"text": "c"}), what)
            await caller.quit()
        await callee.quit()


run(main)

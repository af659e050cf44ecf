"""Autobahn's serializers by the names of WAMP's WebSocket subprotocols."""

from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer

CLASSES = {"json": JsonSerializer, "cbor": CBORSerializer, "msgpack": MsgPackSerializer}


def named(name):
    """The serializer named `json`, `cbor` or `msgpack`, or one of them with `.batched`."""
    base, _, batched = name.partition(".")
    if batched not in ("", "batched"):
        raise ValueError("no serializer {}".format(name))
    return CLASSES[base](batched=True) if batched else CLASSES[base]()

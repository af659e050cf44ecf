"""What Python programs say in CBOR and MsgPack and other serializers do not have, as events with a name each.

`odd_values.py` publishes them for the sessions of js/conversions.mjs; python/cases/conversions.py takes them as values.
"""

import datetime
import math

import cbor2
import msgpack
from peer import join, run

TOPIC = "com.example.public.odd"
SECONDS, MILLISECONDS = 1_400_000_000, 123
TIME = datetime.datetime.fromtimestamp(SECONDS, datetime.timezone.utc) + datetime.timedelta(milliseconds=MILLISECONDS)
TIMESTAMP = msgpack.Timestamp(SECONDS, MILLISECONDS * 1_000_000)

# What arrives, converted where it must be.
CARRIED = {
    "cbor": {
        "keys": {1: "a", -2: {3: "b"}, None: "d", 1.5: "e", False: "f"},
        "time": TIME,
        "big": 2**70,
        "small": -(2**64),
        "nan": [math.nan, math.inf],
        "simple": cbor2.CBORSimpleValue(7),
    },
    "msgpack": {"keys": {1: "a", -2: {3: "b"}, None: "d", 1.5: "e", False: "f"}, "time": TIMESTAMP, "nan": [math.nan, math.inf]},
    "json": {"big": 2**70, "small": -(2**64)},
}  # fmt: skip

# What arrives nowhere. Some receivers would end their sessions.
LEFT_OUT = {
    "cbor": {"binary key": {b"x": 1}, "list as key": {(1, 2): 1}, "time as key": {TIME: 1}},
    "msgpack": {"binary key": {b"x": 1}, "extension": msgpack.ExtType(5, b"x"), "record": msgpack.ExtType(0x72, b"x")},
    "json": {},
}


async def main():
    """Publishes everything, and at the end that it was the end."""
    for serializer in CARRIED:
        session = await join("ws+" + serializer, user="ada", secret="ada's secret")
        for name, value in (CARRIED[serializer] | LEFT_OUT[serializer]).items():
            session.publish(TOPIC, name, value)
        session.publish(TOPIC, "end", serializer)
        await session.quit()


if __name__ == "__main__":
    run(main)

"""What a client of the scenario does once it has joined, and how it says so. Works under Twisted and asyncio."""

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import PublishOptions, TransportDetails

PUBLICATIONS = [
    ("com.example.topic1", True),
    ("com.foobar.topic1", True),
    ("com.example.topic2", False),
    ("com.foobar.topic2", False),
]


async def play(session, details, say):
    """Calls, registers and publishes; tells `say` each line. Returns what went otherwise than it should have."""
    errors = []
    try:
        await perform(session, details, say, errors)
    except Exception as e:
        errors.append("{}: {}".format(type(e).__name__, e))
    return errors


async def perform(session, details, say, errors):
    say("Client session joined:")
    for line in described(details):
        say(line)

    result = await session.call("com.example.add2", 2, 3)
    say("call result: {}".format(result))
    if result != 5:
        errors.append("com.example.add2(2, 3) returned {}".format(result))

    try:
        await session.register(lambda x, y: x * y, "com.example.mul2")
        errors.append("com.example.mul2 was registered")
    except ApplicationError as e:
        say("registration failed - this is expected: {}".format(e))
        if e.error != ApplicationError.NOT_AUTHORIZED:
            errors.append("registration was refused with {}".format(e.error))

    for topic, allowed in PUBLICATIONS:
        try:
            await session.publish(topic, "hello", options=PublishOptions(acknowledge=True))
            say("ok, event published to topic {}".format(topic))
            if not allowed:
                errors.append("{} was published to".format(topic))
        except ApplicationError as e:
            say("publication to topic {} failed - this is expected: {}".format(topic, e))
            if allowed or e.error != ApplicationError.NOT_AUTHORIZED:
                errors.append("publishing to {} was refused with {}".format(topic, e.error))


def described(details):
    """The session's details, a line each."""
    members = [
        ("realm", details.realm),
        ("session", details.session),
        ("authid", details.authid),
        ("authrole", details.authrole),
        ("authmethod", details.authmethod),
        ("authprovider", details.authprovider),
        ("authextra", details.authextra),
        ("serializer", details.serializer),
        ("transport", TransportDetails.CHANNEL_FRAMING_TO_STR[details.transport.channel_framing]),
        ("resumed", details.resumed),
        ("resumable", details.resumable),
        ("resume_token", details.resume_token),
    ]
    indent = " " * len("SessionDetails(")
    for i, (name, value) in enumerate(members):
        start = "SessionDetails(" if i == 0 else indent
        end = ")" if i == len(members) - 1 else ","
        text = '"{}"'.format(value) if isinstance(value, str) else value
        yield "{}{}={}{}".format(start, name, text, end)

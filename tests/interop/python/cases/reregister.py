"""A principal takes its procedure from its own older session, which learns of it; others can not.

Features: registration_revocation, with Crossbar.io's force_reregister."""

from autobahn.wamp.message import Unregistered
from autobahn.wamp.types import RegisterOptions

from peer import Peer, check, equal, join, refused, run, within

PROCEDURE = "com.example.reregister"


class Old(Peer):
    """Autobahn takes note of revocations, and tells nobody."""

    revoked = ()

    def onMessage(self, message):
        if isinstance(message, Unregistered) and message.request == 0:
            self.revoked += (message.registration,)
        super().onMessage(message)


async def main():
    old = await join("ws+cbor", user="ada", secret="ada's secret", make=Old)
    new = await join("ws+json", user="ada", secret="ada's secret")
    other = await join("ws+json")
    registration = await within(old.register(lambda: "old", PROCEDURE))
    force = RegisterOptions(force_reregister=True)
    await refused(other.register(lambda: "other", PROCEDURE, options=force), "wamp.error.procedure_already_exists")
    equal(await within(other.call(PROCEDURE)), "old", "before")
    await within(new.register(lambda: "new", PROCEDURE, options=force))
    equal(await within(other.call(PROCEDURE)), "new", "after")
    # The answer to a later request of the old session: the revocation came before it.
    equal(await within(old.call(PROCEDURE)), "new", "for the old session")
    equal(old.revoked, (registration.id,), "revoked")
    await refused(registration.unregister(), "wamp.error.no_such_registration")
    check(old.is_attached(), "the old session lives on")
    for session in (old, new, other):
        await session.quit()


run(main)

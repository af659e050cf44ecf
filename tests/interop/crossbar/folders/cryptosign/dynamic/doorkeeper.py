"""Knows clients by their keys, and tells the router who they are and where they belong."""

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks

OWNERS = {"KEY-OF-ANNA": "anna@example.org", "KEY-OF-BERT": "bert@example.org"}


class Doorkeeper(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        def open_door(realm, authid, details):
            key = details["authextra"]["pubkey"]
            self.log.info("{method} with {key}", method=details["authmethod"], key=key)
            if key not in OWNERS:
                raise ApplicationError("door.stranger", "nobody has this key")
            extra = {"authid": OWNERS[key], "extra": {"rooms": 3}, "cache": True}
            return {"pubkey": key, "realm": "arithmetic", "role": "visitor", **extra}

        yield self.register(open_door, "door.open")
        print("the door is kept")

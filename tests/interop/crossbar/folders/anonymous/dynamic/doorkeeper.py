"""Lets anybody in, and says what for."""

from autobahn.twisted.wamp import ApplicationSession
from twisted.internet.defer import inlineCallbacks


class Doorkeeper(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        def open_door(realm, authid, details):
            assert details["transport"]["channel_type"] == "tcp"
            print("somebody without a name is here: {}".format(authid is None))
            return {"role": "visitor", "extra": {"floor": 3, "rooms": ["a", "b"]}}

        yield self.register(open_door, "door.open")
        print("the door is kept")

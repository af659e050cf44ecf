"""Tells the router the secrets of some: one as it is, one salted, one of somebody who is called otherwise inside."""

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.auth import derive_key
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks

SALT = {"salt": "sodium chloride", "iterations": 200, "keylen": 32}
USERS = {
    "anna": {"secret": "anna's word", "role": "visitor"},
    "bert": {"secret": derive_key("bert's word", *SALT.values()).decode(), "role": "visitor", **SALT},
    "carl": {"secret": "carl's word", "role": "visitor", "authid": "number 7"},
}


class Doorkeeper(ApplicationSession):
    USERS = USERS

    @inlineCallbacks
    def onJoin(self, details):
        def open_door(realm, authid, details):
            if authid not in self.USERS:
                raise ApplicationError("door.stranger", "nobody here knows {}".format(authid))
            return self.USERS[authid]

        yield self.register(open_door, "door.open")
        print("the door is kept")

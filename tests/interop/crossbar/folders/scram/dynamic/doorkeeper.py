"""Tells the router what it needs to check a password, one by each of the functions that derive keys."""

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks

USERS = {
    "anna": {
        "kdf": "argon2id-13",
        "iterations": 8,
        "memory": 256,
        "salt": "6465666768696a6b6c6d6e6f70717273",
        "stored-key": "8edde4f7997277f72fac19dcf02fc683883b1140aa36d8d5fedbdb8be17483cc",
        "server-key": "a6fadf7c604efa71b1ab35e389c4a74b4446f7fc0c64fea60f6f32e3f6143e71",
    },
    "bert": {
        "kdf": "pbkdf2",
        "iterations": 1000,
        "memory": None,
        "salt": "6465666768696a6b6c6d6e6f70717273",
        "stored-key": "46e7e60301a541477f4b2e631401146fcf5c93655aeefc2246e5d15adc6f623b",
        "server-key": "7687fe01dd49cfac4da74b35751e61a7076a7c449939291fc21bdc18e33686ab",
    },
}


class Doorkeeper(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        def open_door(realm, authid, details):
            assert details["authmethod"] == "scram" and details["authextra"]["nonce"]
            if authid not in USERS:
                raise ApplicationError("door.stranger", "nobody here knows {}".format(authid))
            return {"role": "visitor", **USERS[authid]}

        yield self.register(open_door, "door.open")
        print("the door is kept")

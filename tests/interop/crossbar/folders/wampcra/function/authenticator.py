"""A function authenticator as Crossbar.io runs it: written for Twisted, refusing with an ApplicationError."""

from autobahn.wamp.exception import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks, returnValue
from twisted.internet.task import deferLater
from txaio import make_logger

# Taken before anything has chosen between Twisted and asyncio, as Crossbar.io lets it.
log = make_logger()

USERS = {
    "client1": {"secret": "secret123"},
    "joe": {"secret": "secret2"},
    "hans": {"secret": "123456", "authid": "ID09125"},
    "peter": {"secret": "prq7+YkJ1/KlW1X0YczMHw==", "salt": "salt123", "iterations": 100, "keylen": 16},
}


async def create_authenticator(config, controller):
    print("an authenticator for the role", config["role"])

    @inlineCallbacks
    def authenticate(realm, authid, details):
        print("who is {} in {}?".format(authid, realm))
        log.info("{authid} is looked up", authid=authid)
        yield deferLater(reactor, 0, lambda: None)
        if authid not in USERS:
            text = "could not authenticate session - no such user {}".format(authid)
            raise ApplicationError("com.example.no_such_user", text)
        returnValue({"role": config["role"], **USERS[authid]})

    return authenticate

"""Knows the tickets of some, one of them from its environment, which is that of the node."""

import os

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks

TICKETS = {"robot": os.environ.get("ROBOT_TICKET"), "guard": "halt"}


class Doorkeeper(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        def open_door(realm, authid, details):
            if authid not in TICKETS:
                raise ApplicationError("door.stranger", "nobody here knows {}".format(authid))
            if details["ticket"] != TICKETS[authid]:
                raise ApplicationError("door.bad_ticket", "{} has another ticket".format(authid))
            return "visitor"

        yield self.register(open_door, "door.open")
        print("the door is kept")

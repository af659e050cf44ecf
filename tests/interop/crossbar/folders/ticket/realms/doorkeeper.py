"""Sends everybody to the realm of theirs, from a realm of its own."""

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks

PLACES = {"anna": "kitchen", "bert": "cellar"}


class Doorkeeper(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        def open_door(realm, authid, details):
            place = PLACES[authid]
            if details["ticket"] != "a ticket of " + authid:
                raise ApplicationError("door.bad_ticket", "{} has another ticket".format(authid))
            if realm not in (None, place):
                raise ApplicationError("door.wrong_place", "{} belongs into the {}".format(authid, place))
            return {"realm": place, "role": "cook", "extra": {"apron": True}}

        yield self.register(open_door, "door.open")
        print("the door is kept")

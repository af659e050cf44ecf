"""Knows clients by the fingerprints of their certificates, and calls them what their certificates call them."""

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks

ROLES = {"PRINT-OF-BACKEND": "calculator", "PRINT-OF-ANNA": "visitor"}


class Doorkeeper(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        def open_door(realm, authid, details):
            certificate = details["transport"]["client_cert"]
            subject, issuer = certificate["subject"]["cn"], certificate["issuer"]["cn"]
            print("{} comes with a certificate of {}".format(subject, issuer))
            if certificate["sha1"] not in ROLES:
                raise ApplicationError("door.stranger", "nobody has this certificate")
            return {"authid": subject, "role": ROLES[certificate["sha1"]]}

        yield self.register(open_door, "door.open")
        print("the door is kept")

"""Joins by the method and with the authid of the command line and the secret of the environment, and calculates.

The secret of cryptosign is the name of a key, that of tls the name of a certificate, that of cookie a cookie: what a
client before has left, if none is given. Folders have links to this.
"""

import os
import sys
from pathlib import Path

from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp import auth
from autobahn.wamp.exception import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks

METHOD, AUTHID, REALM, BINDING = (sys.argv[1:] + [None] * 4)[:4]
SECRET = os.environ.get("SECRET", "")
FOLDER = Path(__file__).resolve().parent
LEFT = FOLDER / "cookie.txt"
PROOF, TLS = None, None
if METHOD in ("scram", "cryptosign", "tls"):
    import proofs

    PROOF = {"scram": proofs.Scram, "cryptosign": proofs.Cryptosign}.get(METHOD)
    TLS = proofs.tls(FOLDER, SECRET if METHOD == "tls" else None)


class Client(ApplicationSession):
    def onConnect(self):
        self.proof = PROOF and PROOF(FOLDER, authid=AUTHID, secret=SECRET, binding=BINDING)
        self.join(self.config.realm, [METHOD], AUTHID, authextra=self.proof and self.proof.authextra)

    def onChallenge(self, challenge):
        if self.proof:
            return self.proof.answer(self, challenge)
        if challenge.method == "ticket":
            return SECRET
        key, extra = SECRET, challenge.extra
        if "salt" in extra:
            key = auth.derive_key(SECRET, extra["salt"], extra["iterations"], extra["keylen"])
        return auth.compute_wcs(key, extra["challenge"])

    def onWelcome(self, welcome):
        return self.proof and self.proof.refusal(self, welcome.authextra)

    @inlineCallbacks
    def onJoin(self, details):
        if "set-cookie" in self.transport.http_headers:
            LEFT.write_text(self.transport.http_headers["set-cookie"].partition(";")[0])
        print("joined {} as {} with role {} by {}".format(*map(details.__getattribute__, WHO)))
        print("told: {}".format(sorted(details.authextra or {})))
        try:
            result = yield self.call("calc.add", 2, 3)
            print("2 + 3 = {}".format(result))
        except ApplicationError as error:
            print("not called: {}".format(error.error))
        try:
            yield self.register(lambda: None, "calc.subtract")
            print("registered")
        except ApplicationError as error:
            print("not registered: {}".format(error.error))
        self.leave()

    def onLeave(self, details):
        print("left: {}".format(details.reason))
        self.config.extra["reason"] = details.reason
        self.disconnect()

    def onDisconnect(self):
        reactor.stop()


WHO = ("realm", "authid", "authrole", "authprovider")
AUTHID = None if AUTHID == "-" else AUTHID
extra = {"reason": None}
realm = {None: "arithmetic", "-": None}.get(REALM, REALM)
headers = {"Cookie": SECRET or LEFT.read_text()} if METHOD == "cookie" else {}
url = "{}://localhost:8080/ws".format("wss" if TLS else "ws")
ApplicationRunner(url, realm, extra=extra, headers=headers, ssl=TLS).run(Client)
sys.exit(0 if extra["reason"] == "wamp.close.normal" else 1)

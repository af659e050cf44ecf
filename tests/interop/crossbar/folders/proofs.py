"""How clients prove who they are where Autobahn leaves that to them. Folders have links to this."""

import base64
import hashlib

from autobahn.wamp import auth
from autobahn.wamp.cryptosign import CryptosignKey
from autobahn.wamp.types import Challenge
from nacl.signing import VerifyKey

# Autobahn takes the salt as it is sent, which can not be.
auth._hash_pbkdf2_secret = lambda password, salt, n: hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(salt), n)


class Scram:
    def __init__(self, folder, authid, secret, binding):
        self.scram = auth.AuthScram(authid=authid, password=secret)
        self.authextra = self.scram.authextra

    def answer(self, session, challenge):
        return self.scram.on_challenge(session, challenge).decode()

    def refusal(self, session, authextra):
        """Of a router that has not proved that it knows the keys."""
        return self.scram.on_welcome(session, authextra)


class Cryptosign:
    # What the router is asked to sign.
    ASKED = bytes(range(32))

    def __init__(self, folder, authid, secret, binding):
        self.key = CryptosignKey.from_file(str(folder / ".keys" / (secret + ".key")))
        self.binding = binding
        known = folder / ".crossbar/key.pub"
        self.router = known.read_text().partition("public-key-ed25519: ")[2].strip() if known.exists() else None
        self.authextra = {
            "pubkey": self.key.public_key(),
            "challenge": self.ASKED.hex(),
            "channel_binding": binding,
        }

    def answer(self, session, challenge):
        extra = challenge.extra
        assert extra["channel_binding"] == self.binding
        if self.router:
            signed = VerifyKey(bytes.fromhex(self.router)).verify(bytes.fromhex(extra["signature"]))
            assert extra["pubkey"] == self.router and signed == self.bound(session, self.ASKED)
            print("this is the router")
        message = self.bound(session, bytes.fromhex(extra["challenge"]))
        return self.key.sign_challenge(Challenge("cryptosign", {"challenge": message.hex()}))

    def bound(self, session, challenge):
        """What is signed for a challenge: with RFC 9266 it tells the connection too, which Autobahn does not do."""
        if self.binding != "tls-exporter":
            return challenge
        connection = session.transport.transport.getHandle()
        exported = connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        return bytes(a ^ b for a, b in zip(challenge, exported, strict=True))

    def refusal(self, session, authextra):
        return None


def tls(folder, name):
    """The TLS of a client with the certificate `name`, or without one, if the folder has a certificate authority."""
    if not (folder / ".crossbar/ca.pem").exists():
        return None
    from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS

    read = lambda file: (folder / ".crossbar" / file).read_text()  # noqa: E731
    own = PrivateCertificate.loadPEM(read(name + ".crt") + read(name + ".key")) if name else None
    return optionsForClientTLS("localhost", Certificate.loadPEM(read("ca.pem")), own)

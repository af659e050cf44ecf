"""A function that keeps passwords, and derives the keys of SCRAM from them with Autobahn."""

import hashlib
import hmac
import os
from base64 import b64encode

from autobahn.wamp import auth
from autobahn.wamp.exception import ApplicationError

PASSWORDS = {"anna": "swordfish"}
COST = {"iterations": 8, "memory": 256}


def create_authenticator(config, controller):
    print("the door is kept")

    def keys(password):
        salt = os.urandom(16)
        salted = auth._hash_argon2id13_secret(password.encode(), b64encode(salt), *COST.values())
        mac = lambda text: hmac.new(salted, text, hashlib.sha256).digest()  # noqa: E731
        stored, server = hashlib.sha256(mac(b"Client Key")).hexdigest(), mac(b"Server Key").hex()
        return {"kdf": "argon2id-13", **COST, "salt": salt.hex(), "stored-key": stored, "server-key": server}

    async def open_door(realm, authid, details):
        if authid not in PASSWORDS:
            raise ApplicationError("door.stranger", "nobody here knows {}".format(authid))
        return {"role": config["role"], **keys(PASSWORDS[authid])}

    return open_door

"""A function that is told by the configuration whose keys it knows."""

from autobahn.util import hl, hltype
from autobahn.wamp.exception import ApplicationError
from txaio import make_logger

log = make_logger()


async def create_authenticator(config, controller):
    log.info("made by {func}", func=hltype(create_authenticator))
    print("the door is kept")
    owners = {key: authid for authid, key in config["keys"].items()}

    async def open_door(realm, authid, details):
        key = details["authextra"]["pubkey"]
        log.info("somebody wants to {realm}", realm=hl(realm))
        if key not in owners:
            raise ApplicationError("door.stranger", "nobody has this key")
        return {"pubkey": key, "realm": "arithmetic", "authid": owners[key], "role": "visitor", "cache": True}

    return open_door

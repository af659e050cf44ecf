"""A function that goes by the names in certificates."""

ROLES = {"backend": "calculator", "anna": "visitor"}


def create_authenticator(config, controller):
    print("the door is kept")

    def open_door(realm, authid, details):
        return ROLES.get(details["transport"]["client_cert"]["subject"]["cn"], "nobody")

    return open_door

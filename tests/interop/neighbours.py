"""One session sends what conforming receivers refuse; none of the other sessions may end for it."""

from programs import HERE, check, execute, kill, start, tail

VICTIM_TIMEOUT = 60.0


def neighbour_cases(python, js, environment, report):
    libraries = "Autobahn|Python" + (", Autobahn|JS and wampy" if js else "")
    report.case("a hostile session under " + libraries, lambda: hostile(python, js, environment))


def hostile(python, js, environment):
    commands = {}
    for serializer in ("json", "cbor", "msgpack"):
        name = "python_" + serializer
        commands[name] = ([python, str(HERE / "python/victim.py"), name, serializer], None)
        for library in ("autobahn", "wampy") if js else ():
            name = "{}_{}".format(library, serializer)
            commands[name] = (["node", str(js / "victim.mjs"), library, name, serializer], js)
    victims = {}
    try:
        for name, (command, cwd) in commands.items():
            victims[name] = start(command, environment, cwd)
        for name, victim in victims.items():
            if victim.stdout.readline() != "ready\n":
                raise AssertionError("{} is not ready\n{}".format(name, rest(victim)))
        port = environment["WAMP_RS"].rpartition(":")[2]
        attack = execute([python, str(HERE / "python/hostile.py"), port, *victims], environment)
        for name, victim in victims.items():
            if victim.poll() is not None and victim.returncode != 0:
                raise AssertionError("{} was ended\n{}".format(name, rest(victim)))
        check(attack.returncode == 0, "the hostile session\n" + tail(attack.stderr))
        for name, victim in victims.items():
            if victim.wait(VICTIM_TIMEOUT) != 0:
                raise AssertionError("{}\n{}".format(name, rest(victim)))
    finally:
        for victim in victims.values():
            kill(victim)


def rest(program):
    kill(program)
    out, err = program.communicate()
    return tail(out) + tail(err)

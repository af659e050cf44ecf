"""Several callees share a procedure by the policy of its first registration.

Features: shared_registration."""

from autobahn.wamp.types import RegisterOptions

from peer import check, equal, join, refused, run, within

CALLS = 60


async def main():
    callees = [await join(link) for link in ("ws+cbor", "ws+json", "rs+msgpack")]
    caller = await join("ws+msgpack.batched")
    for policy in ("roundrobin", "random", "first", "last"):
        procedure = "com.example.shared." + policy
        for number, callee in enumerate(callees):
            options = RegisterOptions(invoke=policy)
            await within(callee.register(lambda number=number: number, procedure, options=options))
        answers = [await within(caller.call(procedure)) for _ in range(CALLS)]
        if policy == "roundrobin":
            cycle = answers[: len(callees)]
            equal(sorted(cycle), list(range(len(callees))), "one round")
            equal(answers, cycle * (CALLS // len(callees)), "rounds")
        elif policy == "random":
            check(set(answers) <= set(range(len(callees))), "answers of others")
            check(len(set(answers)) > 1, "{} random choices were all the same".format(CALLS))
        else:
            equal(set(answers), {0 if policy == "first" else len(callees) - 1}, policy)
        options = RegisterOptions(invoke="single")
        conflict = "wamp.error.procedure_exists_with_different_invocation_policy"
        await refused(caller.register(print, procedure, options=options), conflict)

    # The others take over when one is gone.
    callees[0].vanish()
    await within(callees[0].gone)
    for policy, answers in [("first", {1}), ("last", {2}), ("roundrobin", {1, 2})]:
        got = {await within(caller.call("com.example.shared." + policy)) for _ in range(6)}
        equal(got, answers, "after one is gone: " + policy)
    for session in (*callees[1:], caller):
        await session.quit()


run(main)

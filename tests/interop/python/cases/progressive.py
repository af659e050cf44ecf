"""Progressive results arrive in order before the final one, and only at a caller that asked for them.

Features: progressive_call_results."""

from autobahn.wamp.types import CallOptions, RegisterOptions

from peer import equal, join, run, within


async def count(n, details=None):
    for i in range(n):
        if details.progress:
            details.progress(i)
    return n


async def main():
    callee = await join("ws+cbor.batched")
    await within(callee.register(count, "com.example.count", options=RegisterOptions(details_arg="details")))
    for link in ("ws+json", "ws+msgpack", "rs+cbor"):
        caller = await join(link)
        progress = []
        options = CallOptions(on_progress=progress.append)
        equal(await within(caller.call("com.example.count", 50, options=options)), 50, "the final result")
        equal(progress, list(range(50)), "progress")
        equal(await within(caller.call("com.example.count", 3)), 3, "the only result")
        await caller.quit()
    await callee.quit()


run(main)

"""Large payloads pass over every transport, fragmented by WebSocket clients into frames of 64 KiB."""

from peer import check, join, run, within

SIZES = [65535, 65536, 65537, 900_000]


async def main():
    links = ("ws+cbor", "ws+json", "ws+msgpack.batched", "rs+cbor", "rs+json", "unix+msgpack")
    callee = await join("ws+cbor")
    await within(callee.register(lambda value: value, "com.example.large"))
    for link in links:
        caller = await join(link)
        for size in SIZES:
            text = "".join(chr(97 + i % 26) for i in range(size))
            check(await within(caller.call("com.example.large", text)) == text, "{} of text over {}".format(size, link))
            binary = bytes(i * 7 % 256 for i in range(size // 2))
            got = await within(caller.call("com.example.large", binary))
            check(got == binary, "{} of binary over {}".format(size, link))
        await caller.quit()
    await callee.quit()


run(main)

#!/usr/bin/env python3
"""Records remoting frames between RocketMQ programs: a TCP proxy that keeps every frame it passes on.

    record.py OUT LISTEN=TARGET...      e.g. record.py frames 127.0.0.1:19877=127.0.0.1:19876

Frames become OUT/NNNN-{request,response}-CODE-{json,rocketmq}.bin; CODE is the request's code in both, found by its opaque.
Point a broker at the proxy with namesrvAddr, and clients at a proxied broker with brokerIP1 and bindAddress.
"""
import asyncio
import itertools
import json
import pathlib
import struct
import sys

numbers = itertools.count(1)


def members(frame):
    """Code, opaque and flag of a frame, and the name of its encoding."""
    kind, header_len = frame[4], int.from_bytes(frame[5:8], "big")
    header = frame[8 : 8 + header_len]
    if kind == 0:
        fields = json.loads(header)
        return fields["code"], fields["opaque"], fields.get("flag", 0), "json"
    code, _language, _version, opaque, flag = struct.unpack_from(">hBhii", header)
    return code, opaque, flag, "rocketmq"


async def pump(reader, writer, out, own, peers):
    """Passes frames on; `own` holds the codes of this side's requests by opaque, `peers` those of the other side."""
    try:
        while True:
            length = await reader.readexactly(4)
            frame = length + await reader.readexactly(int.from_bytes(length, "big"))
            code, opaque, flag, encoding = members(frame)
            if flag & 1:
                kind, code = "response", peers.get(opaque, code)
            else:
                kind, own[opaque] = "request", code
            (out / f"{next(numbers):04}-{kind}-{code}-{encoding}.bin").write_bytes(frame)
            writer.write(frame)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve(out, listen, target):
    """Listens at one address for another."""

    async def connect(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(*target)
        near, far = {}, {}
        await asyncio.gather(pump(reader, far_writer, out, near, far), pump(far_reader, writer, out, far, near))

    async with await asyncio.start_server(connect, *listen) as server:
        await server.serve_forever()


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


async def main(out, *routes):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    pairs = (map(address, route.split("=")) for route in routes)
    await asyncio.gather(*(serve(out, listen, target) for listen, target in pairs))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

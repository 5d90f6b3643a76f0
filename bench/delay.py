#!/usr/bin/env python3
"""A network in front of one server: every byte arrives half a round trip later, in each direction.

    delay.py ADDRESS ROUND_TRIP_MS      prints the address that it listens at, and runs until it is killed

Nothing is reordered or lost, and bandwidth is not limited. A new connection costs a round trip too, as TCP's does.
"""
import asyncio
import sys


async def pump(reader, writer, delay):
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue()

    async def deliver():
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if data is None:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    delivery = asyncio.create_task(deliver())
    try:
        while data := await reader.read(1 << 16):
            queue.put_nowait((loop.time() + delay, data))
    except ConnectionError:
        pass
    queue.put_nowait((loop.time() + delay, None))
    try:
        await delivery
    except ConnectionError:
        pass


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    delay = float(sys.argv[2]) / 2000

    async def serve(reader, writer):
        await asyncio.sleep(2 * delay)
        try:
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, there_writer, delay), pump(there_reader, writer, delay))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())

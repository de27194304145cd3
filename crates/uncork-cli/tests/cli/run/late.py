"""Connects when it is told to, and says whether it has TCP_NODELAY then.

With arguments it becomes a daemon first, and is told, and tells, by files: GO and OUT."""

import os
import socket
import sys
import time


def attempt():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    client = socket.create_connection(server.getsockname())
    return [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in (server, client)]


if len(sys.argv) == 1:
    print("ready", flush=True)
    for line in sys.stdin:
        print(attempt(), flush=True)
    sys.exit(0)

go, out = sys.argv[1:]
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
for number in range(3):
    os.close(number)
while not os.path.exists(go):
    time.sleep(0.01)
with open(out + ".part", "w") as file:
    file.write(str(attempt()))
os.rename(out + ".part", out)

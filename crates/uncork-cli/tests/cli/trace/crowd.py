"""Many connections of one process with itself, each used once: "at_once" or "one_by_one", how many, and for
how many seconds they stay. Says "few" where this system doesn't allow so many descriptors.
"""
import resource
import socket
import sys
import time

manner, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
needed = 2 * count + 100
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if manner == "at_once" and soft < needed:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
    except (OSError, ValueError):
        sys.exit("few")
server = socket.create_server(("127.0.0.1", 0))
kept = []
for _ in range(count):
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.send(b"hello")
    assert accepted.recv(5) == b"hello"
    if manner == "at_once":
        kept.append((client, accepted))
    else:
        client.close()
        accepted.close()
time.sleep(pause)

"""Counts the signals it gets, and says so at SIGRTMAX, which comes after all others. Ends with 3 at the
end of its input.

usage: job.py [FILE]    (with a FILE it has a child in another group that, at SIGUSR2, connects and
                         writes its TCP_NODELAY there)
"""

import os
import signal
import socket
import sys

counts = {}


def heard(number, _):
    name = signal.Signals(number).name
    counts[name] = counts.get(name, 0) + 1
    if number == signal.SIGRTMAX:
        print(sorted(counts.items()), flush=True)


def helper(path):
    if signal.sigtimedwait([signal.SIGUSR2], 60):
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen()
        client = socket.create_connection(server.getsockname())
        nodelay = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with open(path + ".part", "w") as file:
            file.write(str(nodelay))
        os.rename(path + ".part", path)
    os._exit(0)


if len(sys.argv) > 1:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    child = os.fork()
    if child == 0:
        helper(sys.argv[1])
    os.setpgid(child, 0)
    print("helper", child, flush=True)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT, signal.SIGRTMAX):
    signal.signal(number, heard)
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "end":
        break
    print("heard", line.strip(), flush=True)
sys.exit(3)

"""A link with delay and bandwidth between two network namespaces, for real packets.

Two tun devices, one in each namespace; this program carries packets from one to the other. Says "ready"
once they are up, and takes everything away when its standard input ends. Needs root.
"""
import collections
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def device(name, namespace, address):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    ip("netns", "add", namespace)
    ip("link", "set", name, "netns", namespace)
    ip("-n", namespace, "addr", "add", address, "dev", name)
    ip("-n", namespace, "link", "set", name, "up")
    ip("-n", namespace, "link", "set", "lo", "up")
    return tun


class Way:
    """One direction: packets that wait, and when the last of them will have left."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.packets, self.bytes, self.free = collections.deque(), 0, 0.0

    def take(self, now, delay, rate, queue):
        while True:
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            if self.bytes + len(packet) > queue:
                continue
            self.free = max(self.free, now) + len(packet) / rate
            self.packets.append((self.free + delay, packet))
            self.bytes += len(packet)

    def give(self, now):
        while self.packets and self.packets[0][0] <= now:
            packet = self.packets.popleft()[1]
            self.bytes -= len(packet)
            try:
                os.write(self.target, packet)
            except OSError:
                pass


def main():
    here, there = sys.argv[1:3]
    delay, rate, queue = float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    # Packets that wait for this program stand in the sender's own queue, where they would be limited by
    # that: nobody else may keep it from the processor.
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass
    # A test that ends it by a signal leaves no namespace behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        left = device(here + "0", here, "10.231.7.1/30")
        right = device(there + "0", there, "10.231.7.2/30")
        ways = [Way(left, right), Way(right, left)]
        print("ready", flush=True)
        while True:
            now = time.monotonic()
            for way in ways:
                way.give(now)
            due = [way.packets[0][0] for way in ways if way.packets]
            wait = max(0.0, min(due) - now) if due else 1.0
            readable = select.select([left, right, 0], [], [], wait)[0]
            if 0 in readable and not os.read(0, 4096):
                return
            now = time.monotonic()
            for way in ways:
                if way.source in readable:
                    way.take(now, delay, rate, queue)
    finally:
        for namespace in here, there:
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)


main()

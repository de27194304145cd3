"""Says which signals it gets: each as a line, and at SIGUSR1 all of them together. Ends with 3 at the
end of its input."""

import signal
import sys

counts = {}


def heard(number, _):
    name = signal.Signals(number).name
    counts[name] = counts.get(name, 0) + 1
    if number == signal.SIGUSR1:
        print(sorted(counts.items()), flush=True)


for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT, signal.SIGUSR1):
    signal.signal(number, heard)
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "end":
        break
    print("heard", line.strip(), flush=True)
sys.exit(3)

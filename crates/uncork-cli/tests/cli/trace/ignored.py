"""Starts a program that ignores two signals as it begins; or, without one, tells which of them it ignores."""

import os
import signal
import sys

SIGNALS = [signal.SIGHUP, signal.SIGINT]
if len(sys.argv) > 1:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.execv(sys.argv[1], sys.argv[1:])
print(*(number.name for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN))

"""Starts a program on a terminal of its own, closes that once something is drawn, and tells how it ended.

What it prints goes elsewhere: there it would be refused."""

import os
import pty
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
os.read(terminal, 1)
os.close(terminal)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("ended with", status)

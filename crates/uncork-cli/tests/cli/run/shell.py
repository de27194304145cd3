"""Starts a command on a terminal as a shell does with its jobs, and plays the person before it.

usage: shell.py FILE COMMAND...    (a COMMAND that does what job.py does)

What the person sees goes to stdout, and what the shell learns of its job."""

import os
import pty
import re
import signal
import sys
import time

file, *command = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    # The shell: the leader of the terminal's session.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.tcsetpgrp(0, os.getpid())
            print("shell: stopped by", signal.Signals(os.WSTOPSIG(status)).name, flush=True)
            os.read(0, 100)
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
        elif os.WIFSIGNALED(status):
            print("shell: killed by", signal.Signals(os.WTERMSIG(status)).name, flush=True)
            break
        else:
            print("shell: ended with", os.WEXITSTATUS(status), flush=True)
            break
    os._exit(0)

seen = b""


def until(words):
    global seen
    while words.encode() not in seen:
        try:
            more = os.read(terminal, 1000)
        except OSError:
            more = b""
        if not more:
            sys.exit("%r did not come after: %r" % (words, seen))
        seen += more
    before, _, seen = seen.partition(words.encode())
    text = (before + words.encode()).decode()
    sys.stdout.write(text)
    return text


def say(text):
    os.write(terminal, text.encode())


def job():
    """The process that the shell has started."""
    children = open("/proc/%d/task/%d/children" % (child, child)).read().split()
    return int(children[0])


helper = int(re.search(r"helper (\d+)", until("ready")).group(1))
say("\x03")
# Of signals that wait together the lesser number goes first: with the last one, all have come.
os.kill(job(), signal.SIGRTMAX)
until("('SIGINT', 1)")
say("\x1a")
until("shell: stopped by SIGTSTP")
# Who stops does not keep the others from connecting.
os.kill(helper, signal.SIGUSR2)
while not os.path.exists(file):
    time.sleep(0.01)
say("fg\n")
say("still there\n")
until("heard still there")
os.kill(job(), signal.SIGRTMAX)
until("('SIGCONT', 1)")
say("\x1c")
until("shell: killed by SIGQUIT")

//! What `uncork trace --help` ends with.

/// One example for each question that people come with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Why is this program slow? Watch it from its start to its end:
    uncork trace -- python3 import.py

  A service that runs; the table follows it until `q`, then the report is printed:
    uncork trace -p $(pidof myservice)

  All of this machine for a minute, and a page with a timeline of each socket to keep:
    sudo uncork trace --all --duration 1m --html lost.html

  In CI: the build fails if the tests lose 100 ms or more; the report is in a file:
    uncork trace --fail-over 100ms --json -- ./run-tests > lost.json

  Record where it happens, look at it elsewhere:
    sudo uncork trace -p 4711 --duration 10s --events events.jsonl
    uncork trace --replay events.jsonl

Without root, a program's own user can watch it by looking at its sockets some hundred times a
second (--engine sample). Nothing that is watched is changed; `uncork fix` does that.

Exit codes: 0 less than --fail-over was lost, 1 that much or more, or the command failed; 2 wrong
usage, or no such process or command; 4 not permitted or not possible on this machine.";

"""Appends every file of a Maildir with CPython's imaplib, TCP_NODELAY on.

usage: imaplib_nodelay.py MAILDIR HOST PORT USER    (the password from UNCORK_PASSWORD)

imaplib leaves Nagle on by itself; it is switched off so that the library is compared, not the
stall that a server without TCP_QUICKACK brings about. imaplib turns LF into CRLF.
"""

import imaplib
import os
import socket
import sys

FLAGS = {"D": r"\Draft", "F": r"\Flagged", "R": r"\Answered", "S": r"\Seen", "T": r"\Deleted"}


def files(maildir):
    for folder in ("new", "cur"):
        path = os.path.join(maildir, folder)
        for name in sorted(os.listdir(path)):
            yield os.path.join(path, name), name.partition(":2,")[2]


def main():
    maildir, host, port, user = sys.argv[1:]
    server = imaplib.IMAP4(host, int(port))
    server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.login(user, os.environ["UNCORK_PASSWORD"])
    for path, letters in files(maildir):
        with open(path, "rb") as file:
            mail = file.read()
            date = imaplib.Time2Internaldate(os.fstat(file.fileno()).st_mtime)
        flags = " ".join(FLAGS[letter] for letter in letters if letter in FLAGS)
        status, answer = server.append("INBOX", f"({flags})", date, mail)
        if status != "OK":
            sys.exit(f"{path}: {status} {answer}")
    server.logout()


main()

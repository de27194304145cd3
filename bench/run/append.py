"""Appends mails with CPython's imaplib and prints how many milliseconds each took.

usage: append.py PORT USER PASSWORD MAILS
"""

import imaplib
import sys
import time

port, user, password, mails = sys.argv[1:]
server = imaplib.IMAP4("127.0.0.1", int(port))
server.login(user, password)
mail = b"Subject: A mail\r\n\r\n" + b"A line of text that is no longer than others.\r\n" * 6
start = time.monotonic()
for _ in range(int(mails)):
    status, answer = server.append("INBOX", None, None, mail)
    if status != "OK":
        sys.exit(f"{status} {answer}")
print((time.monotonic() - start) / int(mails) * 1e3)
server.logout()

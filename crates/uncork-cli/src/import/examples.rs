//! What `uncork import --help` ends with.

/// One example for each of the moves that people make most.
pub(super) const EXAMPLES: &str = "\
Examples:
  Thunderbird's local folders into Dovecot; the password is asked for. First look what would go
  where:
    uncork import ~/.thunderbird/*/Mail/'Local Folders' imaps://ada@mail.example.org --dry-run
    uncork import ~/.thunderbird/*/Mail/'Local Folders' imaps://ada@mail.example.org

  Google Takeout, as it was downloaded, into a server like Fastmail, with an app password. Each
  mail goes in once, even where it has several labels:
    uncork import takeout-*.zip imaps://ada%40example.org@imap.example.com --labels once \\
      --password-command 'pass show mail/app-password'

  A Maildir tree into a server like Exchange, which wants a token and slows down who is too fast:
    uncork import ~/Maildir imaps://ada%40example.org@outlook.example.com/Old \\
      --token-command 'get-token ada@example.org' --connections 2 --verify

  An mbox that another program writes, and a page to keep:
    ssh old zcat archive.mbox.gz | uncork import - imaps://ada@mail.example.org/Archive \\
      --password-file ~/.mail-password --html import.html

Exit codes: 0 all well, 1 done with losses that are listed, or stopped, 2 wrong usage, 3 the
server can't be reached or refuses, 4 not permitted or not possible on this machine.";

#!/usr/bin/perl
# Appends every file of a Maildir with Mail::IMAPClient, the library of imapsync.
#
# usage: imapclient.pl MAILDIR HOST PORT USER    (the password from UNCORK_PASSWORD)
#
# append_string turns LF into CRLF.
use strict;
use warnings;
use Mail::IMAPClient;

my ($maildir, $host, $port, $user) = @ARGV;
my %flags = (
    D => '\Draft', F => '\Flagged', R => '\Answered', S => '\Seen', T => '\Deleted',
);

my $imap = Mail::IMAPClient->new(
    Server   => $host,
    Port     => $port,
    User     => $user,
    Password => $ENV{UNCORK_PASSWORD},
) or die "can't log in: $@\n";

for my $folder ('new', 'cur') {
    opendir(my $names, "$maildir/$folder") or die "$maildir/$folder: $!\n";
    for my $name (sort grep { !/^\./ } readdir $names) {
        open(my $file, '<:raw', "$maildir/$folder/$name") or die "$name: $!\n";
        my $mail    = do { local $/; <$file> };
        my $date    = $imap->Rfc3501_datetime((stat $file)[9]);
        my ($info)  = $name =~ /:2,(.*)$/;
        my $flags   = join ' ', grep { defined } map { $flags{$_} } split //, $info // '';
        defined $imap->append_string('INBOX', $mail, $flags, $date)
            or die "$name: " . $imap->LastError . "\n";
    }
}
$imap->logout;

//! What the words mean and where the figures come from.

use super::text::{count, round};
use crate::demo::DemoReport;

/// The whole section.
pub(super) fn section(report: &DemoReport) -> String {
    let segment_bytes = count(report.web.segment_bytes.into());
    let round_trip = round(report.mail.link_round_trip_ms);
    format!(
        "<section aria-labelledby=\"read\">\n<h2 id=\"read\">How to read this</h2>\n\
         {WORDS}\
         <h3>How mail was sent</h3>\n{MAIL_MANNERS}\
         <h3>How files were sent</h3>\n{WEB_MANNERS}\
         <h3>How it was measured</h3>\n<ul>\n\
         <li>Clients and servers ran in one process on this machine, over loopback; the last client \
         was a process of its own. Times are \
         those of this machine and move from run to run; counts and ratios hold better.</li>\n\
         <li>Held time was seen by sampling the kernel’s <code>TCP_INFO</code> while the mails \
         were sent: a socket with unsent bytes, waiting for an ACK, that no window holds \
         back. What falls between two samples is missed, so the true figure is rather \
         larger.</li>\n\
         <li>Segments are those with data that the sender’s kernel counted. Loopback carries \
         segments of up to 64 KB; “real segments” are cut to what a common network carries, \
         about 1,436 bytes each. With those a mail of more than one segment escapes the hold, \
         because two full segments are acknowledged at once. The web rows used segments of \
         {segment_bytes} bytes, and segments sent again are not counted there.</li>\n\
         <li>The link of {round_trip} ms is emulated in user space. It delays data, but not \
         ACKs, which the kernel returns at once. So it shows what waiting for answers costs, \
         and not how long a real link would hold a segment. Behind it the server wrote its \
         answers in one piece; the one on loopback is as careless as the naive client.</li>\n\
         <li>Mail was read from and stored in memory where the system has a file system \
         there: this is about sockets, not disks.</li>\n\
         <li>The web client reads as fast as it can. With a slow reader the room that it has left \
         cuts segments too, whatever the sender does.</li>\n\
         <li>CPU is the time of the sending thread. On loopback it includes what the kernel \
         does for the receiver meanwhile.</li>\n\
         <li>Slow rows took fewer mails and say so.</li>\n\
         </ul>\n</section>\n"
    )
}

const WORDS: &str = "\
<dl>\n\
<dt>Segment</dt>\n\
<dd>What TCP puts into one packet. A full one carries as much as the network takes; each one \
costs both sides some work, full or not.</dd>\n\
<dt>Held</dt>\n\
<dd>A program has written the end of a message, and the sender’s own kernel keeps it back: a \
small segment may not leave while another small one is unacknowledged (Nagle’s algorithm). The \
receiver meanwhile delays that acknowledgement, because it hopes to send it along with an \
answer. Both wait for each other, about 40 ms a message on Linux.</dd>\n\
<dt>Least</dt>\n\
<dd>The fewest segments that can carry header and file: their length divided by what a full \
segment carries, rounded up. Where there are more, some went out partly \
empty.</dd>\n\
<dt>Round trip</dt>\n\
<dd>The time for a question to reach the other side and the answer to come back.</dd>\n\
</dl>\n";

const MAIL_MANNERS: &str = "\
<dl>\n\
<dt>naive client</dt>\n\
<dd>As Python’s <code>imaplib</code>: the command, a wait for the server’s leave, the mail, the \
line end, each with a write of its own.</dd>\n\
<dt>naive + NODELAY</dt>\n\
<dd>The same with Nagle’s algorithm off. Nothing is held, but what is written in pieces leaves \
in pieces.</dd>\n\
<dt>naive + CORK around the message</dt>\n\
<dd>Mail and line end are held together on purpose and let go together.</dd>\n\
<dt>one vectored write per message</dt>\n\
<dd>Mail and line end in a single system call.</dd>\n\
<dt>uncork</dt>\n\
<dd><code>uncork import</code>: one round trip a mail with a server that offers no extension; \
with LITERAL+ it does not wait between mails; with MULTIAPPEND it sends them in batches.</dd>\n\
</dl>\n";

const WEB_MANNERS: &str = "\
<dl>\n\
<dt>two writes</dt>\n\
<dd>The header with <code>write</code>, the file with <code>sendfile</code>; with Nagle’s \
algorithm, or with NODELAY without it.</dd>\n\
<dt>cork</dt>\n\
<dd>The same between <code>TCP_CORK</code> on and off: exact, for two more system calls.</dd>\n\
<dt>MSG_MORE</dt>\n\
<dd>The header is sent with the remark that more follows: exact only up to 64 KiB, which \
<code>sendfile</code> takes in one go.</dd>\n\
<dt>uncork</dt>\n\
<dd>The library picks the cheapest of these ways that is exact for the message at hand.</dd>\n\
</dl>\n";

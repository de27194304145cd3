//! The configuration file of an instance.

use std::net::SocketAddr;
use std::path::Path;

use super::certificate::{CERTIFICATE_FILE, KEY_FILE};
use super::{DovecotConfig, Fsync, Logins, PASSWORD, Storage, Tls};

/// The id of `nobody` and of its group. Dovecot gives root no mailbox, whatever it is told.
pub(super) const NOBODY: u32 = 65534;

/// The text of `dovecot.conf`.
pub(super) fn text(
    config: &DovecotConfig,
    folder: &Path,
    addr: SocketAddr,
    tls_addr: SocketAddr,
) -> String {
    let (ip, port) = (addr.ip(), addr.port());
    let tls = tls(config.tls, folder);
    let tls_port = match config.tls {
        Tls::Off => 0,
        Tls::Offered | Tls::Required => tls_addr.port(),
    };
    let mechanisms = match config.logins {
        Logins::Plain => "plain",
        Logins::Scram => "plain scram-sha-256 scram-sha-1",
        Logins::ScramSha1 => "scram-sha-1",
    };
    let folder = folder.display();
    let mail_location = match config.storage {
        Storage::Mdbox => "mdbox:~/mdbox",
        Storage::Maildir => "maildir:~/Maildir",
    };
    let mail_fsync = match config.fsync {
        Fsync::Never => "never",
        Fsync::Optimized => "optimized",
    };
    let users = users();
    let plugins = plugins(config);
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = {ip}
{tls}disable_plaintext_auth = no
auth_mechanisms = {mechanisms}

mail_location = {mail_location}
mail_fsync = {mail_fsync}
mail_home = {folder}/mail/%u
{users}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}

# Logins must not be what a bench measures: few long-lived login processes, no limits in reach.
mail_max_userip_connections = 1000
default_client_limit = 4096
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 4
  client_limit = 512
  inet_listener imap {{
    address = {ip}
    port = {port}
  }}
  inet_listener imaps {{
    address = {ip}
    port = {tls_port}
  }}
}}
service imap {{
  process_limit = 1024
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{plugins}"
    )
}

/// Who the processes run as. Root's instance takes Dovecot's own system users, which its
/// package makes; an ordinary user can only be itself.
fn users() -> String {
    let uid = rustix::process::geteuid();
    let gid = rustix::process::getegid();
    if uid.is_root() {
        return format!(
            "mail_uid = {NOBODY}
mail_gid = {NOBODY}
first_valid_uid = {NOBODY}
first_valid_gid = {NOBODY}
"
        );
    }
    let (uid, gid) = (uid.as_raw(), gid.as_raw());
    let user = name_of(uid, "/etc/passwd");
    let group = name_of(gid, "/etc/group");
    format!(
        "default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = {uid}
first_valid_gid = {gid}
"
    )
}

/// The name that has this id, from a file of colon-separated lines (passwd(5), group(5)); the
/// id itself where there is none, which Dovecot then complains of in words.
fn name_of(id: u32, path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    find_name(id, &text).unwrap_or_else(|| id.to_string())
}

fn find_name(id: u32, text: &str) -> Option<String> {
    let id = id.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

fn tls(tls: Tls, folder: &Path) -> String {
    let ssl = match tls {
        Tls::Off => return "ssl = no\n".to_owned(),
        Tls::Offered => "yes",
        Tls::Required => "required",
    };
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        "ssl = {ssl}
ssl_cert = <{}
ssl_key = <{}
",
        file(CERTIFICATE_FILE),
        file(KEY_FILE)
    )
}

/// The quota plugin knows both limits, and COMPRESS is a plugin too; those that nobody wants are
/// left out, for they cost time.
fn plugins(config: &DovecotConfig) -> String {
    let has_limits = config.max_mail_bytes.is_some() || config.quota_bytes.is_some();
    let mut mail = Vec::new();
    let mut imap = Vec::new();
    if has_limits {
        mail.push("quota");
        imap.push("imap_quota");
    }
    if config.compress {
        mail.push("zlib");
        imap.push("imap_zlib");
    }
    if mail.is_empty() {
        return String::new();
    }
    let mail = mail.join(" ");
    let imap = imap.join(" ");
    let settings = if has_limits {
        limits(config)
    } else {
        String::new()
    };
    format!(
        "mail_plugins = {mail}
protocol imap {{
  mail_plugins = {mail} {imap}
}}
{settings}"
    )
}

fn limits(config: &DovecotConfig) -> String {
    let mut settings = vec![match config.quota_bytes {
        Some(bytes) => format!("quota_rule = *:storage={bytes}B"),
        None => "quota_rule = *:storage=0".to_owned(),
    }];
    if let Some(bytes) = config.max_mail_bytes {
        settings.push(format!("quota_max_mail_size = {bytes}B"));
    }
    format!(
        "plugin {{
  quota = count:User quota
  quota_vsizes = yes
  {}
}}
",
        settings.join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_id() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbroken\nme:x:10:7:Me:/home/me:/bin/sh\n";
        assert_eq!(find_name(10, text), Some("me".to_owned()));
        assert_eq!(find_name(7, text), None);
    }

    #[test]
    fn only_what_is_wanted() {
        let mut config = DovecotConfig::new(Storage::Maildir, Fsync::Optimized);
        let text = |config: &DovecotConfig| {
            let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
            super::text(config, Path::new("/f"), addr(143), addr(993))
        };
        let plain = text(&config);
        assert!(plain.contains("mail_location = maildir:~/Maildir\n"));
        assert!(plain.contains("mail_fsync = optimized\n"));
        assert!(plain.contains("ssl = no\n") && !plain.contains("993"));
        assert!(!plain.contains("plugin"));
        config.max_mail_bytes = Some(1000);
        let limited = text(&config);
        assert!(limited.contains("quota_max_mail_size = 1000B\n"));
        assert!(limited.contains("  mail_plugins = quota imap_quota\n"));
        config.compress = true;
        config.tls = Tls::Required;
        config.logins = Logins::Scram;
        let full = text(&config);
        assert!(full.contains("  mail_plugins = quota zlib imap_quota imap_zlib\n"));
        assert!(full.contains("ssl = required\nssl_cert = </f/server.pem\n"));
        assert!(full.contains("port = 993\n"));
        assert!(full.contains("scram-sha-256"));
    }
}

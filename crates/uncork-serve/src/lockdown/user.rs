//! Becoming another user for good.

use std::fs;

use rustix::process::{geteuid, getuid};
use rustix::thread::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::LockdownError;

/// A user as `/etc/passwd` and `/etc/group` know it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Groups that list the user, its own included.
    pub(super) groups: Vec<u32>,
}

impl User {
    /// Looks a user up in the files alone: names from LDAP and the like are for systemd's `User=`.
    pub(super) fn find(name: &str) -> Result<Self, LockdownError> {
        let read = |path: &'static str| {
            fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|source| LockdownError::Database { path, source })
        };
        let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
        Self::parse(name, &passwd, &group).ok_or_else(|| LockdownError::NoUser {
            name: name.to_owned(),
        })
    }

    /// passwd(5) and group(5).
    fn parse(name: &str, passwd: &str, group: &str) -> Option<Self> {
        let (uid, gid) = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next()? != name {
                return None;
            }
            let mut fields = fields.skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })?;
        let mut groups = vec![gid];
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [_, _, gid, members] = fields[..] else {
                continue;
            };
            if let (true, Ok(gid)) = (members.split(',').any(|member| member == name), gid.parse())
                && !groups.contains(&gid)
            {
                groups.push(gid);
            }
        }
        Some(Self { uid, gid, groups })
    }

    /// Becomes the user: real, effective and saved, so that there is no way back. The kernel takes all
    /// capabilities away with that. It changes the calling thread alone; threads that are made later
    /// begin as that.
    pub(super) fn become_it(&self) -> Result<(), LockdownError> {
        let failed = |call| {
            move |error: rustix::io::Errno| LockdownError::Call {
                call,
                source: error.into(),
            }
        };
        let groups: Vec<Gid> = self.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        // Groups first: without root's capabilities they can't be changed.
        set_thread_groups(&groups).map_err(failed("setgroups"))?;
        set_thread_res_gid(gid, gid, gid).map_err(failed("setresgid"))?;
        set_thread_res_uid(uid, uid, uid).map_err(failed("setresuid"))?;
        // A server that only believes itself unprivileged is worse than none.
        let is_back = !uid.is_root() && set_thread_res_uid(None, Uid::ROOT, None).is_ok();
        if is_back || geteuid() != uid || getuid() != uid {
            return Err(LockdownError::StillRoot);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_in_the_files() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nwww:x:33:34:www:/var/www:/bin/false\nbad:x:y:1::/:/\n";
        let group = "root:x:0:\nwww:x:34:www\nlogs:x:4:syslog,www\nwwwx:x:5:wwwx\nbroken:x\nmore:x:6:www,a\n";
        let check = |name, expected: Option<User>| {
            assert_eq!(User::parse(name, passwd, group), expected, "{name}");
        };
        check(
            "www",
            Some(User {
                uid: 33,
                gid: 34,
                groups: vec![34, 4, 6],
            }),
        );
        check(
            "root",
            Some(User {
                uid: 0,
                gid: 0,
                groups: vec![0],
            }),
        );
        check("bad", None);
        check("ww", None);
        check("", None);
    }
}

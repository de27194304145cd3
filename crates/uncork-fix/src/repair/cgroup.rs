//! Connections to come of a whole cgroup: a socket program in the kernel gives each of them NODELAY
//! when it is established, asked for or accepted.
//!
//! The program belongs to the cgroup, stays after uncork has ended, and goes with the cgroup.
//!
//! # Minimum kernel version
//! Linux 6.1: before it `bpf_setsockopt` knows no TCP_NODELAY, and says so to nobody but the program.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, fstatfs, openat};
use rustix::io::Errno;
use rustix::system::uname;
use serde::Serialize;
use uncork_sockets::cgroup_pids;

pub use uncork_sockets::CgroupError;

use super::program::{NAME, nodelay_program};
use crate::sys::bpf;

/// The first Linux whose `bpf_setsockopt` sets TCP_NODELAY.
const LINUX_MIN: (u32, u32) = (6, 1);

/// Of the two cgroups that a program may be attached to with our rights, and what those are.
const ADVICE: &str = "A socket program needs CAP_BPF and CAP_NET_ADMIN, and CAP_SYS_ADMIN to find it \
    among others and to detach it: run uncork as root on the host (`sudo uncork …`). Sockets that \
    are there now can be repaired without it: `uncork fix -p PID`.";

/// Why a cgroup can't be repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It is none.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The kernel does not let this process.
    #[error("no socket program for {}: not permitted ({call}: {error})", path.display())]
    NotPermitted {
        /// Of the cgroup.
        path: PathBuf,
        /// Which command of bpf(2), or which system call, was refused.
        call: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// This kernel can't do it.
    #[error("no socket program for {}: {reason}", path.display())]
    Unsupported {
        /// Of the cgroup.
        path: PathBuf,
        /// What it can't.
        reason: String,
    },
    /// A program of others would not run any more.
    #[error(
        "no socket program for {}: a program of {} allows to be overridden, and would be",
        path.display(),
        ancestor.display()
    )]
    WouldDisplace {
        /// Of the cgroup.
        path: PathBuf,
        /// Of the cgroup above it that the program is attached to.
        ancestor: PathBuf,
    },
    /// Anything else.
    #[error("no socket program for {} ({call}: {error})", path.display())]
    System {
        /// Of the cgroup.
        path: PathBuf,
        /// Which command of bpf(2), or which system call, failed.
        call: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl AttachError {
    /// What is missing and how to get it; `None` where nothing helps.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            // With all rights the only thing that refuses is a program that wants to be alone.
            Self::NotPermitted {
                call: "BPF_PROG_ATTACH",
                ..
            } => Some(format!(
                "Or another program is attached to this cgroup, or to one above it, that allows \
                 none beside it: `bpftool cgroup tree` shows them. {ADVICE}"
            )),
            Self::NotPermitted { .. } => Some(ADVICE.to_owned()),
            Self::Unsupported { .. } => Some(
                "Sockets that are there now can be repaired: `uncork fix -p PID`; with --watch \
                 those to come, too."
                    .to_owned(),
            ),
            Self::WouldDisplace { ancestor, .. } => Some(format!(
                "It was attached with BPF_F_ALLOW_OVERRIDE: in a cgroup beneath, any other program \
                 takes its place. `bpftool cgroup show {}` names it. Sockets can be repaired without \
                 a program: `uncork fix -p PID --tree --watch`.",
                ancestor.display()
            )),
            Self::Cgroup(CgroupError::Version1(_)) => Some(
                "Socket programs are for cgroups of version 2: `findmnt -t cgroup2` shows where \
                 they are."
                    .to_owned(),
            ),
            Self::Cgroup(CgroupError::None(_)) => Some(
                "A cgroup is a folder where `findmnt -t cgroup2` points to, for one \
                 /sys/fs/cgroup/system.slice/NAME.service."
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether rights, or this kernel, are what is missing.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        match self {
            Self::NotPermitted { .. } | Self::Unsupported { .. } => true,
            Self::Cgroup(CgroupError::Read { reason, .. }) => {
                reason.kind() == io::ErrorKind::PermissionDenied
            }
            _ => false,
        }
    }
}

/// What became of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// It is attached now.
    Attached,
    /// It was attached before.
    WasAttached,
    /// It is detached now.
    Detached,
    /// It was not attached.
    WasNotAttached,
}

/// A cgroup of version 2.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    folder: File,
}

impl Cgroup {
    /// Opens it.
    ///
    /// # Errors
    /// Where `path` is no cgroup of version 2, or can't be read.
    pub fn open(path: &Path) -> Result<Self, AttachError> {
        // Says in words why it is none.
        cgroup_pids(path, false)?;
        let folder = File::open(path).map_err(|reason| CgroupError::Read {
            path: path.to_owned(),
            call: "open",
            reason,
        })?;
        let path = path.to_owned();
        Ok(Self { path, folder })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The processes in it, and in those beneath it.
    ///
    /// # Errors
    /// Where they can't be read.
    pub fn pids(&self) -> Result<Vec<u32>, AttachError> {
        Ok(cgroup_pids(&self.path, true)?)
    }

    /// Attaches the program, unless it is.
    ///
    /// # Errors
    /// Where the kernel can't, or does not let us.
    pub fn attach(&self) -> Result<Program, AttachError> {
        let release = uname().release().to_string_lossy().into_owned();
        if version(&release).is_some_and(|version| version < LINUX_MIN) {
            let (major, minor) = LINUX_MIN;
            return Err(AttachError::Unsupported {
                path: self.path.clone(),
                reason: format!("it needs Linux {major}.{minor}, and this is {release}"),
            });
        }
        if self.find()?.is_some() {
            return Ok(Program::WasAttached);
        }
        if let Some(ancestor) = self.would_displace()? {
            let path = self.path.clone();
            return Err(AttachError::WouldDisplace { path, ancestor });
        }
        let program = self.load()?;
        self.check(
            "BPF_PROG_ATTACH",
            bpf::attach(self.folder.as_fd(), program.as_fd()),
        )?;
        Ok(Program::Attached)
    }

    /// Detaches the program, if it is attached.
    ///
    /// # Errors
    /// Where the kernel does not let us.
    pub fn detach(&self) -> Result<Program, AttachError> {
        let mut became = Program::WasNotAttached;
        // Two uncorks that attached at the same moment have left two.
        while let Some(program) = self.find()? {
            self.check(
                "BPF_PROG_DETACH",
                bpf::detach(self.folder.as_fd(), program.as_fd()),
            )?;
            became = Program::Detached;
        }
        Ok(became)
    }

    /// Our program among those that are attached to this very cgroup. A name can be anybody's: ours has
    /// our instructions, too, and no other is ever detached.
    fn find(&self) -> Result<Option<OwnedFd>, AttachError> {
        for id in self.attached(&self.folder)?.ids {
            let program = match bpf::by_id(id) {
                // Detached meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                program => self.check("BPF_PROG_GET_FD_BY_ID", program)?,
            };
            let identity = self.identity(&program)?;
            if identity.name == NAME.as_bytes() && identity == self.identity(&self.load()?)? {
                return Ok(Some(program));
            }
        }
        Ok(None)
    }

    /// The cgroup above this one whose program would not run here any more once ours does.
    ///
    /// That is the nearest one with programs, and only while this one has none: what is further above
    /// runs beside it, or has been displaced by it already. Cgroups that a namespace hides are not seen.
    fn would_displace(&self) -> Result<Option<PathBuf>, AttachError> {
        if !self.attached(&self.folder)?.ids.is_empty() {
            return Ok(None);
        }
        let mut folder = self.above(&self.folder)?;
        let mut path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        while let Some(ancestor) = folder {
            path.pop();
            let attached = self.attached(&ancestor)?;
            if !attached.ids.is_empty() {
                return Ok(attached.is_overridable.then_some(path));
            }
            folder = self.above(&ancestor)?;
        }
        Ok(None)
    }

    /// The folder above a cgroup's, unless that is where they are mounted.
    fn above(&self, folder: &File) -> Result<Option<File>, AttachError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || {
            let above = File::from(openat(folder, c"..", flags, Mode::empty())?);
            let is_same = fstat(&above)?.st_ino == fstat(folder)?.st_ino;
            let is_cgroup = fstatfs(&above)?.f_type == fstatfs(folder)?.f_type;
            Ok((is_cgroup && !is_same).then_some(above))
        };
        self.check("openat", open())
    }

    fn attached(&self, folder: &File) -> Result<bpf::Attached, AttachError> {
        self.check("BPF_PROG_QUERY", bpf::attached(folder.as_fd()))
    }

    fn load(&self) -> Result<OwnedFd, AttachError> {
        self.check("BPF_PROG_LOAD", bpf::load(&nodelay_program(), NAME))
    }

    fn identity(&self, program: &OwnedFd) -> Result<bpf::Identity, AttachError> {
        self.check("BPF_OBJ_GET_INFO_BY_FD", bpf::identity(program.as_fd()))
    }

    fn check<T>(&self, call: &'static str, result: io::Result<T>) -> Result<T, AttachError> {
        let path = self.path.clone();
        result.map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::PERM | Errno::ACCESS) => AttachError::NotPermitted { path, call, error },
            Some(Errno::NOSYS) => AttachError::Unsupported {
                path,
                reason: format!("this kernel has no bpf(2), or hides it ({call}: {error})"),
            },
            // A kernel without CONFIG_CGROUP_BPF knows neither the program's kind nor the query.
            Some(Errno::INVAL) => AttachError::Unsupported {
                path,
                reason: format!(
                    "this kernel has no programs for sockets of cgroups ({call}: {error})"
                ),
            },
            _ => AttachError::System { path, call, error },
        })
    }
}

/// The first two numbers of a release: `6.1.0-9-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases() {
        for (release, expected) in [
            ("6.1.0-9-amd64", Some((6, 1))),
            ("5.14.0-427.el9.x86_64", Some((5, 14))),
            ("6.18", Some((6, 18))),
            ("6-rc", None),
            ("", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
    }

    #[test]
    fn another_folder_is_no_cgroup() {
        let error = Cgroup::open("/proc".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "/proc is no cgroup");
        assert!(!error.is_not_permitted());
        assert!(error.advice().unwrap().contains("findmnt"));
        let error = Cgroup::open("/no/such/cgroup".as_ref()).unwrap_err();
        assert!(error.to_string().contains("statfs"), "{error}");
    }
}

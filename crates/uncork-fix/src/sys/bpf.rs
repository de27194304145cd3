//! bpf(2): a socket program loaded, attached to a cgroup, found there again, detached.
//!
//! Layouts and numbers are those of `include/uapi/linux/bpf.h`. Each command has a struct of its own
//! that begins as the kernel's `union bpf_attr` does and ends where its part is complete, answers
//! included: the kernel takes what is missing behind as zeros.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Commands.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;

const BPF_PROG_TYPE_SOCK_OPS: u32 = 13;
const BPF_CGROUP_SOCK_OPS: u32 = 3;
/// Other programs may be attached to the same cgroup, and to those beneath it.
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;

/// Programs of cgroups beneath take the place of this one.
const BPF_F_ALLOW_OVERRIDE: u32 = 1 << 0;

/// BPF_OBJ_NAME_LEN, the NUL behind it included.
pub(crate) const NAME_BYTES: usize = 16;

/// Programs of one kind that a cgroup can have: BPF_CGROUP_MAX_PROGS.
const PROGRAMS_MAX: u32 = 64;

/// `struct bpf_prog_info` up to and with the name, and where the tag and the name begin.
const INFO_BYTES: u32 = 80;
const INFO_TAG_AT: usize = 8;
const INFO_NAME_AT: usize = 64;

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_bytes: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_BYTES],
    interface_index: u32,
    attach_type: u32,
}

#[repr(C)]
struct Attach {
    cgroup: RawFd,
    program: RawFd,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
struct Info {
    program: RawFd,
    bytes: u32,
    info: u64,
}

#[repr(C)]
struct Query {
    cgroup: RawFd,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
    program_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// The socket programs of one cgroup.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) ids: Vec<u32>,
    /// Whether a program that is attached beneath takes their place.
    pub(crate) is_overridable: bool,
}

/// By what a program can be told from others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What it is called, without the NULs.
    pub(crate) name: Vec<u8>,
    /// The kernel's hash of its instructions. Which hash that is differs between kernels, so that tags
    /// are compared with those of programs that this kernel has loaded.
    pub(crate) tag: u64,
}

/// Loads a socket program (`BPF_PROG_TYPE_SOCK_OPS`), which the kernel checks first.
pub(crate) fn load(instructions: &[u64], name: &str) -> io::Result<OwnedFd> {
    // None of its functions is kept for GPL programs.
    let license = c"MIT OR Apache-2.0";
    let mut attr = Load {
        kind: BPF_PROG_TYPE_SOCK_OPS,
        instruction_count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        attach_type: BPF_CGROUP_SOCK_OPS,
        ..Load::default()
    };
    // The last byte stays NUL.
    let name_bytes = name.bytes().take(NAME_BYTES - 1);
    attr.name
        .iter_mut()
        .zip(name_bytes)
        .for_each(|(to, from)| *to = from);
    // SAFETY: BPF_PROG_LOAD reads the instructions and the licence, which live until after the call;
    // no log is asked for, so it writes nothing.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut attr) }?;
    // SAFETY: BPF_PROG_LOAD gave this descriptor to us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a program to a cgroup, where it stays after this process has ended.
pub(crate) fn attach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = Attach {
        cgroup: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        attach_type: BPF_CGROUP_SOCK_OPS,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: BPF_PROG_ATTACH follows no pointers, and both descriptors are borrowed, so open.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr) }.map(drop)
}

/// Takes a program off a cgroup.
pub(crate) fn detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = Attach {
        cgroup: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        attach_type: BPF_CGROUP_SOCK_OPS,
        flags: 0,
    };
    // SAFETY: as for BPF_PROG_ATTACH.
    unsafe { bpf(BPF_PROG_DETACH, &mut attr) }.map(drop)
}

/// The socket programs that are attached to this very cgroup.
pub(crate) fn attached(cgroup: BorrowedFd<'_>) -> io::Result<Attached> {
    let mut ids = vec![0_u32; PROGRAMS_MAX as usize];
    let mut attr = Query {
        cgroup: cgroup.as_raw_fd(),
        attach_type: BPF_CGROUP_SOCK_OPS,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: PROGRAMS_MAX,
        padding: 0,
        program_attach_flags: 0,
        link_ids: 0,
        link_attach_flags: 0,
        revision: 0,
    };
    // SAFETY: BPF_PROG_QUERY writes at most `count` ids to where `ids` points, which has room for as
    // many and lives until after the call; the other pointers are null, which it then leaves alone. The
    // rest of its answer goes into `attr`, whatever size it was told: Linux 6.17 writes the revision,
    // which is the last field that there is, and `Query` has room for it.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr) }?;
    ids.truncate(attr.count as usize);
    Ok(Attached {
        is_overridable: !ids.is_empty() && attr.attach_flags & BPF_F_ALLOW_OVERRIDE != 0,
        ids,
    })
}

/// The program of an id. Needs CAP_SYS_ADMIN.
pub(crate) fn by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = ById {
        id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: BPF_PROG_GET_FD_BY_ID follows no pointers.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attr) }?;
    // SAFETY: the call gave this descriptor to us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a program is called, and of which instructions it is.
pub(crate) fn identity(program: BorrowedFd<'_>) -> io::Result<Identity> {
    let mut info = [0_u64; INFO_BYTES as usize / 8];
    let mut attr = Info {
        program: program.as_raw_fd(),
        bytes: INFO_BYTES,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: BPF_OBJ_GET_INFO_BY_FD writes at most `bytes` bytes to where `info` points, which has
    // room for as many and lives until after the call. The pointers within it are zero, and their
    // lengths too, so that it follows none of them.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let name = info[INFO_NAME_AT / 8..]
        .iter()
        .flat_map(|word| word.to_ne_bytes());
    Ok(Identity {
        name: name.take_while(|byte| *byte != 0).collect(),
        tag: info[INFO_TAG_AT / 8],
    })
}

/// The system call.
///
/// # Safety
/// `attr` must be what `command` expects, and what its pointers point to must be as long as its lengths
/// say.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<RawFd> {
    // SAFETY: the kernel reads no more of `attr` than its size, and writes no field that the caller's
    // struct has not; the rest is the caller's.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr as *mut T, size_of::<T>()) };
    match RawFd::try_from(result) {
        Ok(fd) if fd >= 0 => Ok(fd),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// As pahole(1) shows `union bpf_attr` and `struct bpf_prog_info`.
    #[test]
    fn the_layouts_are_the_kernels() {
        assert_eq!(offset_of!(Load, license), 16);
        assert_eq!(offset_of!(Load, log), 32);
        assert_eq!(offset_of!(Load, name), 48);
        assert_eq!(offset_of!(Load, attach_type), 68);
        assert_eq!(size_of::<Load>(), 72);
        assert_eq!(size_of::<Attach>(), 16);
        assert_eq!(offset_of!(Query, ids), 16);
        assert_eq!(offset_of!(Query, count), 24);
        assert_eq!(offset_of!(Query, revision), 56);
        assert_eq!(size_of::<Query>(), 64);
        assert_eq!(offset_of!(Info, info), 8);
        assert_eq!(INFO_NAME_AT + NAME_BYTES, INFO_BYTES as usize);
    }
}

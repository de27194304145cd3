//! The filter: which system calls of a command the supervisor gets to see. Pure.
//!
//! A program for the kernel's classic BPF machine (`Documentation/userspace-api/seccomp_filter.rst`).
//! The kernel finds out by itself which calls it lets pass whatever their arguments, and does not run
//! it for them any more (Linux 5.11).

use libc::sock_filter;

use super::call::Call;

/// What a command's system calls are asked. See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Filter(Vec<sock_filter>);

/// `AUDIT_ARCH_*` of `linux/audit.h`: which of a processor's sets of system calls is meant.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little")
)))]
const ARCHITECTURE: Option<u32> = None;

/// x32 shares x86_64's architecture, and has this bit in its numbers (`__X32_SYSCALL_BIT`).
const X32_BIT: u32 = 0x4000_0000;

/// Where `struct seccomp_data` has the number of the call.
const NUMBER_AT: u32 = 0;

/// Where it has the architecture.
const ARCHITECTURE_AT: u32 = 4;

/// Where it has the lower half of an argument: both architectures are little-endian.
const fn argument_at(index: u32) -> u32 {
    16 + 8 * index
}

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    /// Over so many instructions.
    Skip(u8),
    Allow,
    Notify,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Load(u32),
    IfEqual(u32, To, To),
    IfAtLeast(u32, To, To),
    IfAnyBit(u32, To, To),
}

impl Filter {
    /// The filter for this processor, `None` where uncork does not know its system calls.
    pub(crate) fn new() -> Option<Self> {
        Some(Self(assemble(&steps(ARCHITECTURE?))))
    }

    pub(crate) fn program(&self) -> &[sock_filter] {
        &self.0
    }
}

/// What is asked, in the order of what is cheap.
fn steps(architecture: u32) -> Vec<Step> {
    let mut steps = vec![
        Step::Load(ARCHITECTURE_AT),
        // 32-bit programs have other numbers and are left alone.
        Step::IfEqual(architecture, To::Next, To::Allow),
        Step::Load(NUMBER_AT),
        Step::IfAtLeast(X32_BIT, To::Allow, To::Next),
    ];
    for call in Call::ALL {
        let number = number(call);
        match call.flags_argument() {
            None => steps.push(Step::IfEqual(number, To::Notify, To::Next)),
            // Only with MSG_FASTOPEN does a send connect.
            Some(index) => steps.extend([
                Step::IfEqual(number, To::Next, To::Skip(2)),
                Step::Load(argument_at(index)),
                Step::IfAnyBit(libc::MSG_FASTOPEN.cast_unsigned(), To::Notify, To::Allow),
            ]),
        }
    }
    steps
}

fn number(call: Call) -> u32 {
    u32::try_from(call.number()).unwrap_or(u32::MAX)
}

/// Makes instructions of steps; behind the last one stand the two answers.
fn assemble(steps: &[Step]) -> Vec<sock_filter> {
    let mut program: Vec<sock_filter> = steps
        .iter()
        .enumerate()
        .map(|(at, &step)| {
            let left = steps.len() - at - 1;
            let offset = |to: To| match to {
                To::Next => 0,
                To::Skip(count) => count,
                To::Allow => u8::try_from(left).unwrap_or(u8::MAX),
                To::Notify => u8::try_from(left + 1).unwrap_or(u8::MAX),
            };
            match step {
                Step::Load(at) => instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0),
                Step::IfEqual(value, yes, no) => {
                    jump(libc::BPF_JEQ, value, offset(yes), offset(no))
                }
                Step::IfAtLeast(value, yes, no) => {
                    jump(libc::BPF_JGE, value, offset(yes), offset(no))
                }
                Step::IfAnyBit(bits, yes, no) => {
                    jump(libc::BPF_JSET, bits, offset(yes), offset(no))
                }
            }
        })
        .collect();
    for answer in [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF] {
        program.push(instruction(libc::BPF_RET | libc::BPF_K, answer, 0, 0));
    }
    program
}

fn jump(kind: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | kind | libc::BPF_K, value, yes, no)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I386: u32 = 0x4000_0003;

    /// What the kernel would do: the machine has no loops, so that a program always ends.
    fn answer(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let word = |at: u32| match at {
            NUMBER_AT => number,
            ARCHITECTURE_AT => architecture,
            at => {
                let (index, half) = ((at - 16) / 8, (at - 16) % 8);
                assert!(half == 0, "the upper half of an argument");
                u32::try_from(arguments[index as usize] & u64::from(u32::MAX)).unwrap()
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let mut jump = |is_so: bool| at += usize::from(if is_so { jt } else { jf });
            match code {
                0x20 => accumulator = word(k),
                0x15 => jump(accumulator == k),
                0x35 => jump(accumulator >= k),
                0x45 => jump(accumulator & k != 0),
                0x06 => return k,
                _ => panic!("an instruction that the filter should not have: {code:#x}"),
            }
        }
    }

    #[test]
    fn what_the_supervisor_sees() {
        let Some(native) = ARCHITECTURE else { return };
        let filter = Filter::new().unwrap();
        let program = filter.program();
        let check = |architecture, number: libc::c_long, arguments, is_seen| {
            let number = u32::try_from(number).unwrap();
            let expected = if is_seen {
                libc::SECCOMP_RET_USER_NOTIF
            } else {
                libc::SECCOMP_RET_ALLOW
            };
            let answer = answer(program, architecture, number, arguments);
            assert_eq!(answer, expected, "{architecture:#x} {number} {arguments:?}");
        };
        let open = u64::from(libc::MSG_FASTOPEN.cast_unsigned());
        let other = u64::from((libc::MSG_NOSIGNAL | libc::MSG_MORE).cast_unsigned());
        let none = [0; 6];
        check(native, libc::SYS_connect, none, true);
        check(native, libc::SYS_listen, none, true);
        check(native, libc::SYS_sendto, none, false);
        check(native, libc::SYS_sendto, [0, 0, 0, other, 0, 0], false);
        check(
            native,
            libc::SYS_sendto,
            [open, open, open, 0, open, open],
            false,
        );
        check(
            native,
            libc::SYS_sendto,
            [0, 0, 0, other | open, 0, 0],
            true,
        );
        check(native, libc::SYS_sendmsg, [0, 0, open, 0, 0, 0], true);
        check(native, libc::SYS_sendmsg, [0, 0, other, open, 0, 0], false);
        check(native, libc::SYS_sendmmsg, [0, 0, 0, open, 0, 0], true);
        check(native, libc::SYS_sendmmsg, [0, 0, open, other, 0, 0], false);
        for number in (0..600).filter(|&number| Call::of(number).is_none()) {
            check(native, number.into(), [open; 6], false);
        }
        // Other sets of system calls have the same numbers for other things.
        for number in 0..600 {
            check(I386, number, [open; 6], false);
            check(
                native,
                number + libc::c_long::from(X32_BIT),
                [open; 6],
                false,
            );
        }
    }

    #[test]
    fn it_fits_into_short_jumps() {
        let program = Filter::new().map_or(0, |filter| filter.program().len());
        assert!(program < usize::from(u8::MAX));
    }
}

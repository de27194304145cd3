//! The BPF program that gives NODELAY to each connection of a cgroup: twelve instructions, written
//! out here so that neither a compiler nor an object file is needed.
//!
//! In C it would be
//!
//! ```c
//! SEC("sockops") int uncork_nodelay(struct bpf_sock_ops *ctx)
//! {
//!     if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
//!         ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
//!         int on = 1;
//!         bpf_setsockopt(ctx, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
//!     }
//!     return 1;
//! }
//! ```
//!
//! It leaves `ctx->reply` alone: what other programs of the cgroup decide is none of its business.

/// What it is called, and found by. 15 bytes at most.
pub(crate) const NAME: &str = "uncork_nodelay";

/// Of `include/uapi/linux/bpf.h`.
const ACTIVE_ESTABLISHED_CB: i32 = 4;
const PASSIVE_ESTABLISHED_CB: i32 = 5;
const FUNC_SETSOCKOPT: i32 = 49;
const IPPROTO_TCP: i32 = 6;
const TCP_NODELAY: i32 = 1;

/// Registers: what a function returns, its five arguments, and where the stack ends.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
const R5: u8 = 5;
const STACK: u8 = 10;

/// Operation codes, of `Documentation/bpf/standardization/instruction-set.rst`.
const LOAD_U32: u8 = 0x61;
const STORE_U32: u8 = 0x62;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT: u8 = 0x55;
const SET: u8 = 0xb7;
const COPY: u8 = 0xbf;
const ADD: u8 = 0x07;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// The program, an instruction a word.
pub(crate) fn nodelay_program() -> [u64; 12] {
    [
        // R1 is the context when it begins, and its first field, `op`, says what has happened.
        instruction(LOAD_U32, R2, R1, 0, 0),
        // A connection that this side has asked for: over the next one, to the call.
        instruction(JUMP_IF_EQUAL, R2, 0, 1, ACTIVE_ESTABLISHED_CB),
        // Anything but one that was accepted: over the call, to the end.
        instruction(JUMP_IF_NOT, R2, 0, 7, PASSIVE_ESTABLISHED_CB),
        // bpf_setsockopt(R1: the context, R2: level, R3: option, R4: &value, R5: its size), the value
        // being the last four bytes of the stack.
        instruction(STORE_U32, STACK, 0, -4, 1),
        instruction(SET, R2, 0, 0, IPPROTO_TCP),
        instruction(SET, R3, 0, 0, TCP_NODELAY),
        instruction(COPY, R4, STACK, 0, 0),
        instruction(ADD, R4, 0, 0, -4),
        instruction(SET, R5, 0, 0, 4),
        instruction(CALL, 0, 0, 0, FUNC_SETSOCKOPT),
        // 1 is what a program without an objection returns.
        instruction(SET, R0, 0, 0, 1),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

/// `struct bpf_insn`: code, both registers (four bits each), offset, immediate.
fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> u64 {
    // C puts the first bit field where the byte order has the first byte.
    let registers = if cfg!(target_endian = "little") {
        from << 4 | to
    } else {
        to << 4 | from
    };
    let [o0, o1] = offset.to_ne_bytes();
    let [i0, i1, i2, i3] = immediate.to_ne_bytes();
    u64::from_ne_bytes([code, registers, o0, o1, i0, i1, i2, i3])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As llvm-objdump(1) shows those that clang makes of the C above, two jumps instead of its mask.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_instructions_in_hexadecimal() {
        let text: Vec<String> = nodelay_program()
            .iter()
            .map(|word| {
                word.to_ne_bytes()
                    .map(|byte| format!("{byte:02x}"))
                    .concat()
            })
            .collect();
        let expected = [
            "6112000000000000",
            "1502010004000000",
            "5502070005000000",
            "620afcff01000000",
            "b702000006000000",
            "b703000001000000",
            "bfa4000000000000",
            "07040000fcffffff",
            "b705000004000000",
            "8500000031000000",
            "b700000001000000",
            "9500000000000000",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn jumps_stay_within() {
        let program = nodelay_program();
        for (at, word) in program.iter().enumerate() {
            let [code, _, o0, o1, ..] = word.to_ne_bytes();
            if [JUMP_IF_EQUAL, JUMP_IF_NOT].contains(&code) {
                let offset = usize::try_from(i16::from_ne_bytes([o0, o1])).unwrap();
                assert!(at + 1 + offset < program.len());
            }
        }
    }
}

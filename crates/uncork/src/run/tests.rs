use std::collections::VecDeque;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::plan::Platform;

/// A scripted kernel: it takes what the script says, and writes down what it was asked.
#[derive(Default)]
struct Script {
    /// For each call that moves bytes: how many it takes, or the error it gives. Past the end
    /// of the script it takes everything.
    answers: VecDeque<Result<usize, io::ErrorKind>>,
    refuses_sendfile: bool,
    wire: Vec<u8>,
    calls: Vec<String>,
    corked: bool,
    held_by_flag: bool,
}

impl Script {
    fn answer(&mut self, asked: usize) -> io::Result<usize> {
        match self.answers.pop_front() {
            None => Ok(asked),
            Some(Ok(most)) => Ok(most.clamp(1, asked.max(1)).min(asked)),
            Some(Err(kind)) => Err(kind.into()),
        }
    }
}

impl Wire for &mut Script {
    fn write(&mut self, slices: &[IoSlice<'_>], tail: Tail) -> io::Result<usize> {
        assert!(slices.len() <= WRITE_SLICES_MAX);
        let asked: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let taken = self.answer(asked.len())?;
        self.wire.extend_from_slice(&asked[..taken]);
        self.calls.push(format!("write {taken} {tail:?}"));
        self.held_by_flag = tail == Tail::More;
        Ok(taken)
    }

    fn send_file(&mut self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        assert!(len <= SENDFILE_CAP_BYTES);
        if self.refuses_sendfile {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let asked = self.answer(len)?;
        let mut bytes = vec![0; asked];
        let taken = rustix::io::pread(file, &mut bytes, offset)?;
        self.wire.extend_from_slice(&bytes[..taken]);
        self.calls.push(format!("sendfile {taken}"));
        // Before Linux 6.5 a call that stops early leaves its last segment with "more follows".
        if taken > 0 {
            self.held_by_flag = taken < len;
        }
        Ok(taken)
    }

    fn read_file(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::pread(file, buffer, offset)?)
    }

    fn cork(&mut self) -> io::Result<()> {
        self.calls.push("cork".into());
        self.corked = true;
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        self.calls.push("uncork".into());
        self.corked = false;
        self.held_by_flag = false;
        Ok(())
    }
}

fn state(platform: Platform) -> State {
    State::new(StreamFacts {
        send_buffer_bytes: 1 << 20,
        segment_bytes: 1436,
        platform,
    })
}

fn file_of(len: usize) -> (File, Vec<u8>) {
    let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (file, bytes)
}

/// Steps until the end, as a sender does whose socket is always ready again.
fn drive(script: &mut Script, state: &mut State, message: &Message<'_>) -> Result<(), SendError> {
    let mut run = Run::new(script, state, message)?;
    loop {
        match run.step() {
            Ok(Step::Finished) => return Ok(()),
            Ok(Step::Moved) | Err(Stop::WouldBlock(_)) => {}
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
}

#[track_caller]
fn check_calls(message: &Message<'_>, expected: &[&str]) {
    let mut script = Script::default();
    let mut state = state(Platform::LINUX);
    drive(&mut script, &mut state, message).unwrap();
    assert_eq!(script.calls, expected);
    assert_eq!(state.counts.system_calls, expected.len() as u64);
    assert_eq!(script.wire.len() as u64, message.len());
}

#[test]
fn system_calls_of_each_kind_of_message() {
    let (small, _) = file_of(1000);
    let (large, _) = file_of(5_000_000);
    check_calls(&Message::new(), &[]);
    check_calls(
        &Message::new().bytes(b"abc").bytes(b"de"),
        &["write 5 Push"],
    );
    check_calls(
        &Message::new().bytes(b"head").file(&small, 0..1000),
        &["write 4 More", "sendfile 1000"],
    );
    check_calls(
        &Message::new().bytes(b"head").file(&large, 0..5_000_000),
        &[
            "cork",
            "write 4 More",
            "sendfile 2097152",
            "sendfile 2097152",
            "sendfile 805696",
            "uncork",
        ],
    );
}

#[test]
fn more_parts_than_one_write_takes_are_split_with_more() {
    let message: Message<'_> = std::iter::repeat_n(&b"x"[..], 2500).collect();
    check_calls(
        &message,
        &["write 1024 More", "write 1024 More", "write 452 Push"],
    );
}

#[test]
fn a_file_that_sendfile_refuses_is_copied() {
    let (file, bytes) = file_of(200_000);
    let mut script = Script {
        refuses_sendfile: true,
        ..Script::default()
    };
    let mut state = state(Platform::LINUX);
    let message = Message::new().bytes(b"head").file(&file, 7..200_000);
    drive(&mut script, &mut state, &message).unwrap();
    assert_eq!(script.wire, [b"head", &bytes[7..]].concat());
    assert_eq!(script.calls.last().unwrap(), "uncork");
}

#[test]
fn a_file_that_has_shrunk_is_an_error_and_nothing_stays_held() {
    for (platform, refuses_sendfile, promised) in [
        (Platform::LINUX, false, 2000),
        (Platform::LINUX, true, 2000),
        (Platform::LINUX, false, 500_000),
        (Platform::LINUX, true, 500_000),
        (Platform::PLAIN, false, 500_000),
    ] {
        let (file, _) = file_of(1000);
        let mut script = Script {
            refuses_sendfile,
            ..Script::default()
        };
        let mut state = state(platform);
        let message = Message::new().bytes(b"head").file(&file, 0..promised);
        let error = drive(&mut script, &mut state, &message).unwrap_err();
        let SendError::FileTooShort {
            missing_bytes,
            sent_bytes,
            total_bytes,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(missing_bytes, promised - 1000);
        assert_eq!(total_bytes, promised + 4);
        assert_eq!(sent_bytes, script.wire.len() as u64);
        assert!(!script.corked && !script.held_by_flag, "{:?}", script.calls);
        if sent_bytes > 0 {
            let next = drive(&mut script, &mut state, &Message::new().bytes(b"next"));
            assert!(matches!(next, Err(SendError::Incomplete { .. })));
        }
    }
}

#[test]
fn a_file_that_has_grown_is_sent_as_promised() {
    let (mut file, bytes) = file_of(1000);
    let message = Message::new()
        .file(&file.try_clone().unwrap(), 0..1000)
        .len();
    assert_eq!(message, 1000);
    file.write_all(b"grown").unwrap();
    let mut script = Script::default();
    let message = Message::new().file(&file, 0..1000);
    drive(&mut script, &mut state(Platform::LINUX), &message).unwrap();
    assert_eq!(script.wire, bytes);
}

#[test]
fn a_reset_before_the_first_byte_leaves_the_stream_complete() {
    let mut script = Script {
        answers: VecDeque::from([Err(io::ErrorKind::ConnectionReset)]),
        ..Script::default()
    };
    let mut state = state(Platform::LINUX);
    let message = Message::new().bytes(b"abc");
    let error = drive(&mut script, &mut state, &message).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(error.sent_bytes(), 0);
    assert!(state.check_complete().is_ok());
}

#[test]
fn a_dropped_run_is_released_and_refused() {
    let (file, _) = file_of(500_000);
    let message = Message::new().bytes(b"head").file(&file, 0..500_000);
    let mut state = state(Platform::LINUX);
    let mut script = Script::default();
    {
        let mut run = Run::new(&mut script, &mut state, &message).unwrap();
        for _ in 0..2 {
            assert!(matches!(run.step(), Ok(Step::Moved)));
        }
    }
    assert_eq!(script.calls, ["cork", "write 4 More", "uncork"]);
    let error = state.check_complete().unwrap_err();
    assert!(error.to_string().contains("4 of 500004 bytes"), "{error}");
}

#[test]
fn a_panic_between_two_steps_leaves_nothing_corked() {
    let (file, _) = file_of(500_000);
    let mut script = Script::default();
    let mut state = state(Platform::LINUX);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let message = Message::new().bytes(b"head").file(&file, 0..500_000);
        let mut run = Run::new(&mut script, &mut state, &message).unwrap();
        let _ = run.step();
        panic!("the caller's");
    }));
    assert!(unwound.is_err());
    assert!(!script.corked);
}

fn any_answer() -> impl Strategy<Value = Result<usize, io::ErrorKind>> {
    prop_oneof![
        4 => (1usize..70_000).prop_map(Ok),
        1 => Just(Err(io::ErrorKind::WouldBlock)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever the kernel takes at a time, the bytes on the wire are the message, whole and
    /// in order, and nothing is held at the end.
    #[test]
    fn short_writes_change_nothing(
        lens in prop::collection::vec((any::<bool>(), 0usize..150_000), 0..8),
        answers in prop::collection::vec(any_answer(), 0..30),
        platform in prop::sample::select(vec![Platform::LINUX, Platform::BSD, Platform::PLAIN]),
        refuses_sendfile in any::<bool>(),
    ) {
        let (file, bytes) = file_of(160_000);
        let mut message = Message::new();
        let mut expected = Vec::new();
        for &(is_file, len) in &lens {
            message = if is_file {
                message.file(&file, 5..5 + len as u64)
            } else {
                message.bytes(&bytes[5..5 + len])
            };
            expected.extend_from_slice(&bytes[5..5 + len]);
        }
        let mut script = Script {
            answers: answers.into(),
            refuses_sendfile,
            ..Script::default()
        };
        let mut state = state(platform);
        drive(&mut script, &mut state, &message).unwrap();
        prop_assert!(script.wire == expected);
        prop_assert!(!script.corked && !script.held_by_flag);
        prop_assert_eq!(state.counts.bytes, expected.len() as u64);
        prop_assert!(state.check_complete().is_ok());
    }
}

use super::*;

/// 314 bytes in flight, 2 bytes held.
fn facts() -> Facts {
    Facts {
        write_seq: 1316,
        snd_nxt: 1314,
        snd_una: 1000,
        snd_sml: Some(1314),
        pushed_seq: Some(1316),
        mss: 1448,
        cwnd: 10,
        in_flight_segments: 1,
        snd_wnd: 65_536,
        min_rtt_us: 30,
        ..Facts::default()
    }
}

#[track_caller]
fn check(change: impl Fn(&mut Facts), expected: Option<HeldBy>) {
    let mut facts = facts();
    change(&mut facts);
    assert_eq!(held_by(&facts), expected, "{facts:?}");
}

#[test]
fn why_bytes_stay() {
    check(|_| {}, Some(HeldBy::Nagle));
    check(|f| f.write_seq = 1314, None);
    // What fills a segment isn't held by a rule of this side.
    check(|f| f.write_seq = 1314 + 1448, None);
    check(|f| f.in_flight_segments = 10, None);
    check(|f| f.snd_wnd = 315, None);
    check(|f| f.snd_wnd = 316, Some(HeldBy::Nagle));
    check(|f| f.corked = true, Some(HeldBy::Cork));
    check(|f| f.pushed_seq = Some(1314), Some(HeldBy::Cork));
    check(|f| f.nodelay = true, Some(HeldBy::Device));
    // A full segment in flight doesn't hold a small one back.
    check(|f| f.snd_sml = Some(900), Some(HeldBy::Device));
    // Samples don't know what is small, or pushed.
    check(
        |f| (f.snd_sml, f.pushed_seq) = (None, None),
        Some(HeldBy::Nagle),
    );
    // What is in flight are full segments, or was one byte more, the SYN.
    for (bytes, by) in [
        (2 * 1448, HeldBy::Device),
        (2 * 1448 - 1, HeldBy::Device),
        (2 * 1448 - 2, HeldBy::Nagle),
    ] {
        let sampled = |f: &mut Facts| {
            (f.snd_sml, f.pushed_seq) = (None, None);
            (f.snd_una, f.in_flight_segments) = (f.snd_nxt.wrapping_sub(bytes), 2);
        };
        check(sampled, Some(by));
    }
    let sampled_nodelay = |f: &mut Facts| {
        (f.nodelay, f.pushed_seq) = (true, None);
    };
    check(sampled_nodelay, Some(HeldBy::Device));
    check(
        |f| {
            sampled_nodelay(f);
            f.snd_una = f.snd_nxt;
        },
        Some(HeldBy::Cork),
    );
}

const WRITE: Kind = Kind::Write {
    result: 1000,
    thread: 1,
    stack: Vec::new(),
};

#[test]
fn a_cork_holds_nothing_that_waits_for_a_window() {
    let mut facts = Facts {
        corked: true,
        ..facts()
    };
    let hold = Hold::begin(HeldBy::Cork, 1_000, 0, &facts);
    assert!(hold.goes_on(&facts));
    facts.write_seq += 100_000;
    assert!(!hold.goes_on(&facts));
    let ended = hold.end(9_000_000, 1_000, &WRITE, &facts);
    assert_eq!((ended.at_ns, ended.loss), (9_000_000, None));
}

/// nginx with tcp_nopush, without NODELAY: the cork comes off, and the end of the answer stays.
#[test]
fn what_a_cork_has_gathered_may_be_held_by_nagle() {
    let mut facts = Facts {
        corked: true,
        ..facts()
    };
    let mut hold = Hold::begin(HeldBy::Cork, 1_000_000, 0, &facts);
    facts.write_seq += 1000;
    hold.see(2_000_000, &WRITE, &facts);
    (facts.corked, facts.pushed_seq) = (false, Some(facts.write_seq));
    let ack = Kind::Segment {
        bytes: 0,
        ack_seq: facts.snd_nxt,
    };
    hold.see(45_000_000, &ack, &facts);
    (facts.snd_una, facts.snd_nxt) = (facts.snd_nxt, facts.write_seq);
    facts.departed_ns = Some(45_000_100);
    let loss = hold.end(46_000_000, 45_000_000, &ack, &facts).loss.unwrap();
    assert_eq!(
        (loss.cause, loss.ended_by),
        (Cause::Nagle, EndedBy::DelayedAck)
    );
    assert_eq!((loss.ns, hold.bytes), (43_000_100, 1002));
}

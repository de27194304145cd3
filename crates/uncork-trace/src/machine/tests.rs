use proptest::prelude::*;

use super::simulation::{Call, Peer, Simulation, Truth, identity};
use super::*;
use crate::event::Facts;
use crate::report::{Cause, EndedBy, Limit, Stall};

const LAN: Peer = Peer {
    round_trip_ns: 50_000,
    ack_delay_ns: 40_000_000,
};

const PROMPT: Peer = Peer {
    round_trip_ns: 50_000_000,
    ack_delay_ns: 0,
};

fn report_of(events: &[Event]) -> Report {
    let end_ns = events.last().map_or(0, |event| event.at_ns);
    report_until(Engine::Ebpf, events, end_ns)
}

fn report_until(engine: Engine, events: &[Event], end_ns: u64) -> Report {
    let mut machine = Machine::new(engine, events.first().map_or(0, |event| event.at_ns));
    for event in events {
        machine.take(event);
    }
    machine.report(
        end_ns,
        Detail::Whole,
        &Processes::default(),
        Losses::default(),
    )
}

fn run(peer: Peer, calls: &[Call]) -> (Report, Truth) {
    let mut simulation = Simulation::new(peer);
    simulation.run(calls);
    (report_of(&simulation.events), simulation.truth)
}

fn repeated(calls: &[Call], times: usize) -> Vec<Call> {
    calls
        .iter()
        .copied()
        .cycle()
        .take(calls.len() * times)
        .collect()
}

/// A client that stalls with each message.
fn importing(messages: usize) -> Simulation {
    let mut simulation = Simulation::new(LAN);
    simulation.run(&repeated(
        &[Call::Write(351), Call::Write(2), Call::Read],
        messages,
    ));
    simulation
}

fn stalls_of(report: &Report, cause: Cause) -> Vec<&Stall> {
    let stalls = report.sockets.iter().flat_map(|socket| &socket.stalls);
    stalls.filter(|stall| stall.cause == cause).collect()
}

#[test]
fn a_delayed_ack_frees_what_nagle_holds() {
    let (report, truth) = run(
        LAN,
        &repeated(&[Call::Write(351), Call::Write(2), Call::Read], 100),
    );
    assert_eq!(truth.nagle_count, 100);
    let [stall] = stalls_of(&report, Cause::Nagle)[..] else {
        panic!("{report:#?}")
    };
    assert_eq!(stall.count, 100);
    assert_eq!(stall.pattern, "write 351, write 2, read waits 40 ms");
    assert_eq!(stall.ended_by[0].by, EndedBy::DelayedAck);
    assert_eq!((stall.held_bytes, stall.ended_by[0].count), (2, 100));
    let truth_ms = crate::tally::millis(truth.nagle_ns);
    assert!(
        (report.held_ms_total - truth_ms).abs() < truth_ms * 0.001,
        "{truth_ms}"
    );
}

#[test]
fn a_round_trip_frees_it_where_the_peer_is_prompt() {
    let (report, _) = run(
        PROMPT,
        &repeated(&[Call::Write(351), Call::Write(2), Call::Read], 10),
    );
    let [stall] = stalls_of(&report, Cause::Nagle)[..] else {
        panic!("{report:#?}")
    };
    assert_eq!(stall.ended_by[0].by, EndedBy::RoundTrip);
}

#[test]
fn nothing_is_held_with_nodelay_but_segments_are_wasted() {
    let mut calls = vec![Call::SetNodelay(true)];
    calls.extend(repeated(
        &[Call::Write(351), Call::Write(2), Call::Read],
        100,
    ));
    let (report, truth) = run(LAN, &calls);
    assert_eq!(truth, Truth::default());
    assert_eq!(report.held_ms_total, 0.0);
    let [waste] = stalls_of(&report, Cause::PacketWaste)[..] else {
        panic!("{report:#?}")
    };
    // The first message begins before anything is known of the counters.
    assert!((98..=100).contains(&waste.count), "{waste:?}");
    assert_eq!(waste.segments_wasted, waste.count);
    assert_eq!(waste.pattern, "write 351, write 2");
}

#[test]
fn whole_messages_lose_nothing() {
    let (report, truth) = run(LAN, &repeated(&[Call::Write(353), Call::Read], 100));
    assert_eq!((truth, report.held_ms_total), (Truth::default(), 0.0));
    assert!(
        stalls_of(&report, Cause::PacketWaste).is_empty(),
        "{report:#?}"
    );
}

#[test]
fn one_message_a_round_trip() {
    let mut calls = vec![Call::SetNodelay(true)];
    calls.extend(repeated(&[Call::Write(353), Call::Read], 50));
    let (report, _) = run(PROMPT, &calls);
    let [waits] = stalls_of(&report, Cause::StopAndWait)[..] else {
        panic!("{report:#?}")
    };
    assert!(waits.count >= 48, "{waits:?}");
    assert!((45.0..55.0).contains(&waits.held_ms_p50), "{waits:?}");
    assert_eq!(report.sockets[0].limit, Limit::Peer);
    // It isn't time that a rule of this machine has taken.
    assert_eq!(report.held_ms_total, 0.0);
    // Nor has it anything to do with it, where the program thinks for longer than it waits.
    let mut calls = vec![Call::SetNodelay(true)];
    calls.extend(repeated(
        &[Call::Write(353), Call::Read, Call::Think(900_000_000)],
        50,
    ));
    let (report, _) = run(PROMPT, &calls);
    assert!(
        stalls_of(&report, Cause::StopAndWait).is_empty(),
        "{report:#?}"
    );
    assert_eq!(report.sockets[0].limit, Limit::Program);
}

#[test]
fn a_cork_that_is_forgotten() {
    let calls = [
        Call::SetCork(true),
        Call::Write(200),
        Call::Write(43),
        Call::Read,
    ];
    let (report, truth) = run(LAN, &repeated(&calls, 10));
    assert_eq!(truth.cork_count, 10);
    let [stall] = stalls_of(&report, Cause::Cork)[..] else {
        panic!("{report:#?}")
    };
    assert_eq!((stall.count, stall.ended_by[0].by), (10, EndedBy::Ceiling));
    assert!(stalls_of(&report, Cause::Nagle).is_empty());
}

#[test]
fn a_cork_that_is_taken_off_late() {
    let calls = [
        Call::SetCork(true),
        Call::Write(200),
        Call::Write(43),
        Call::Think(30_000_000),
        Call::SetCork(false),
        Call::Read,
    ];
    let (report, truth) = run(LAN, &repeated(&calls, 10));
    assert_eq!(truth.cork_count, 10);
    let [stall] = stalls_of(&report, Cause::Cork)[..] else {
        panic!("{report:#?}")
    };
    assert_eq!((stall.count, stall.ended_by[0].by), (10, EndedBy::Option));
    assert!((29.0..32.0).contains(&stall.held_ms_p50), "{stall:?}");
}

#[test]
fn a_cork_around_a_message_is_no_loss() {
    let calls = [
        Call::SetCork(true),
        Call::Write(200),
        Call::Think(60_000_000),
        Call::Write(4300),
        Call::SetCork(false),
        Call::Read,
    ];
    let (report, truth) = run(LAN, &repeated(&calls, 10));
    assert_eq!(
        (truth.cork_count, report.held_ms_total),
        (0, 0.0),
        "{report:#?}"
    );
}

#[test]
fn a_gap_ends_what_is_known_but_not_a_nagle_hold() {
    let simulation = importing(20);
    let whole = report_of(&simulation.events);
    // Every answer is missing.
    let mut events = Vec::new();
    let mut skipped = 0;
    for event in &simulation.events {
        if matches!(event.kind, Kind::Read { .. })
            || matches!(event.kind, Kind::Segment { bytes: 20, .. })
        {
            skipped += 1;
            continue;
        }
        events.push(Event {
            skipped,
            ..event.clone()
        });
        skipped = 0;
    }
    let report = report_of(&events);
    assert!(
        (report.held_ms_total - whole.held_ms_total).abs() < 1.0,
        "{report:#?}"
    );
    assert_eq!(report.events_skipped, 40);
}

/// The peer has vanished: the kernel's probe and what is sent again make no event.
#[test]
fn what_is_held_at_the_end_is_told_for_as_long_as_it_may_be() {
    let mut simulation = Simulation::new(LAN);
    simulation.run(&[Call::Write(351), Call::Write(2)]);
    let events = &simulation.events[..3];
    let begun_ns = events[2].at_ns;
    let after = |ms: u64| report_until(Engine::Ebpf, events, begun_ns + ms * 1_000_000);
    let early = after(20);
    let [stall] = stalls_of(&early, Cause::Nagle)[..] else {
        panic!("{early:#?}")
    };
    assert_eq!((stall.count, stall.held_ms_total), (1, 20.0));
    let late = after(10_000);
    assert_eq!(late.held_ms_total, 300.1, "and two round trips");
    assert_eq!(late.sockets[0].shares.unseen_ms, 9_699.9);
    assert_eq!(after(20_000).held_ms_total, late.held_ms_total);
}

/// What ended a hold is among the events that were lost: a later departure is not its end.
#[test]
fn the_end_of_a_hold_is_lost() {
    let simulation = importing(20);
    let mut events = simulation.events[..3].to_vec();
    let is_answer = |event: &Event| matches!(event.kind, Kind::Segment { bytes: 20, .. });
    let late = simulation.events.len() - 20;
    let late = late
        + simulation.events[late..]
            .iter()
            .position(is_answer)
            .unwrap();
    events.extend_from_slice(&simulation.events[late..]);
    events[3].skipped = u32::try_from(late - 3).unwrap();
    let told = report_of(&events);
    let [stall] = stalls_of(&told, Cause::Nagle)[..] else {
        panic!("{told:#?}")
    };
    assert!(stall.held_ms_max < 41.0, "{stall:#?}");
    assert!(told.sockets[0].shares.unseen_ms > 500.0, "{told:#?}");
}

/// The kernel notes a write some microseconds before its call returns.
#[test]
fn a_cork_is_known_again_after_a_gap() {
    let mut simulation = Simulation::new(LAN);
    simulation.run(&[Call::SetCork(true), Call::Write(20)]);
    let mut events = simulation.events[..2].to_vec();
    let write_ns = events[1].at_ns;
    events[1].facts.left_ns = write_ns - 3_000;
    let mut facts = events[1].facts;
    facts.snd_nxt = facts.write_seq;
    facts.departed_ns = Some(write_ns + 205_000_000);
    let kind = Kind::Segment {
        bytes: 0,
        ack_seq: facts.write_seq,
    };
    events.push(Event {
        at_ns: write_ns + 205_100_000,
        socket: SocketId(1),
        kind,
        facts,
        skipped: 1,
    });
    let report = report_of(&events);
    let [stall] = stalls_of(&report, Cause::Cork)[..] else {
        panic!("{report:#?}")
    };
    assert_eq!(stall.held_ms_total, 205.0);
    assert_eq!(stall.ended_by[0].by, EndedBy::Ceiling);
}

/// A socket that rested for 300 ms is found to hold bytes: most of these were nobody's loss.
#[test]
fn a_hold_that_a_sample_finds_after_a_rest() {
    let mut simulation = Simulation::new(LAN);
    simulation.run(&[Call::Write(351), Call::Write(2)]);
    let (open, held) = (simulation.events[0].clone(), simulation.events[2].facts);
    let ms = |ms: u64| open.at_ns + ms * 1_000_000;
    let sample = |at_ms: u64, before_ms: u64, facts: Facts| Event {
        at_ns: ms(at_ms),
        kind: Kind::Sample {
            previous_ns: ms(before_ms),
        },
        facts,
        ..open.clone()
    };
    let held = Facts {
        departed_ns: Some(ms(290)),
        ..held
    };
    let sent = Facts {
        snd_nxt: held.write_seq,
        ..held
    };
    let events = [
        open.clone(),
        sample(300, 0, held),
        sample(302, 300, held),
        sample(304, 302, sent),
    ];
    let report = report_until(Engine::Sample, &events, ms(304));
    let [stall] = stalls_of(&report, Cause::Nagle)[..] else {
        panic!("{report:#?}")
    };
    assert_eq!(stall.held_ms_total, 13.0);
}

#[test]
fn an_address_that_is_used_again_is_another_socket() {
    let simulation = importing(3);
    let mut events = simulation.events.clone();
    let later_ns = simulation.now_ns;
    events.extend(simulation.events.iter().map(|event| Event {
        at_ns: event.at_ns + later_ns,
        socket: SocketId(2),
        facts: Facts {
            departed_ns: event.facts.departed_ns.map(|ns| ns + later_ns),
            handled_ns: event.facts.handled_ns.map(|ns| ns + later_ns),
            ..event.facts
        },
        ..event.clone()
    }));
    let report = report_of(&events);
    assert_eq!(report.sockets.len(), 2);
    let counts = stalls_of(&report, Cause::Nagle)
        .iter()
        .map(|stall| stall.count)
        .collect::<Vec<_>>();
    assert_eq!(counts, [3, 3]);
}

#[test]
fn ten_thousand_sockets_in_bounded_room() {
    let mut machine = Machine::new(Engine::Ebpf, 0);
    for id in 0..10_000 {
        let mut event = Event {
            at_ns: id,
            socket: SocketId(id),
            kind: Kind::Open(Box::new(identity())),
            facts: Facts::default(),
            skipped: 0,
        };
        machine.take(&event);
        event.kind = Kind::Close;
        machine.take(&event);
    }
    assert!(machine.conversations.len() <= SOCKETS);
    let report = machine.report(
        10_000,
        Detail::Whole,
        &Processes::default(),
        Losses::default(),
    );
    assert!(report.sockets.len() <= SOCKETS_TOLD);
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        8 => (1..3000_u32).prop_map(Call::Write),
        3 => Just(Call::Read),
        2 => (1_000..100_000_000_u64).prop_map(Call::Think),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (any::<i32>(), any::<u32>()).prop_map(|(result, thread)| Kind::Write {
            result,
            thread,
            stack: Vec::new()
        }),
        (any::<i32>(), any::<u32>()).prop_map(|(result, thread)| Kind::Read { result, thread }),
        (any::<u32>(), any::<u32>()).prop_map(|(bytes, ack_seq)| Kind::Segment { bytes, ack_seq }),
        any::<u64>().prop_map(|previous_ns| Kind::Sample { previous_ns }),
        Just(Kind::Shut),
        Just(Kind::Close),
        Just(Kind::Open(Box::new(identity()))),
    ]
}

prop_compose! {
    fn facts()(
        seqs in any::<[u32; 8]>(),
        known in any::<bool>(),
        flags in any::<[bool; 4]>(),
        sizes in any::<[u32; 4]>(),
        times in any::<[u64; 5]>(),
    ) -> Facts {
        Facts {
            write_seq: seqs[0],
            snd_nxt: seqs[0].wrapping_sub(seqs[1] % 3000),
            snd_una: seqs[0].wrapping_sub(seqs[2] % 9000),
            snd_sml: known.then_some(seqs[3]),
            pushed_seq: known.then_some(seqs[4]),
            rcv_nxt: seqs[5],
            rcv_wup: known.then_some(seqs[6]),
            nodelay: flags[0],
            corked: flags[1],
            device_limited: known.then_some(flags[2]),
            no_space: known.then_some(flags[3]),
            mss: sizes[0] % 3000,
            cwnd: sizes[1] % 20,
            in_flight_segments: sizes[2] % 20,
            snd_wnd: sizes[3],
            departed_ns: known.then_some(times[0]),
            handled_ns: known.then_some(times[1]),
            left_ns: times[2],
            rwnd_limited_us: (!known).then_some(times[3]),
            sndbuf_limited_us: (!known).then_some(times[4]),
            data_segs_out: seqs[7],
            total_retrans: seqs[6],
            ..Facts::default()
        }
    }
}

proptest! {
    /// Whatever a program writes, and however the peer acknowledges it: what the machine says was held
    /// is what was held.
    #[test]
    fn the_truth(
        calls in proptest::collection::vec(call(), 1..60),
        round_trip_us in 20..60_000_u64,
        ack_delay_ms in prop_oneof![Just(0_u64), Just(40), Just(200)],
    ) {
        let peer = Peer {
            round_trip_ns: round_trip_us * 1000,
            ack_delay_ns: ack_delay_ms * 1_000_000,
        };
        let (report, truth) = run(peer, &calls);
        let told: u64 = stalls_of(&report, Cause::Nagle).iter().map(|stall| stall.count).sum();
        let told_ms: f64 = stalls_of(&report, Cause::Nagle).iter().map(|stall| stall.held_ms_total).sum();
        let truth_ms = crate::tally::millis(truth.nagle_ns);
        if truth_ms >= 1.0 {
            prop_assert!(told.abs_diff(truth.nagle_count) <= 1, "{told} told, {truth:?}");
            prop_assert!((told_ms - truth_ms).abs() < 0.05 + truth_ms * 0.01, "{told_ms} told, {truth:?}");
        }
        prop_assert!(stalls_of(&report, Cause::Cork).is_empty());
    }

    /// The shares of a socket are all of its time, and nothing that was held is longer.
    #[test]
    fn shares_add_up(calls in proptest::collection::vec(call(), 1..60)) {
        let (report, _) = run(LAN, &calls);
        let socket = &report.sockets[0];
        let sum: f64 = socket.shares.parts().iter().map(|(_, ms)| ms).sum();
        prop_assert!((sum - socket.seconds * 1000.0).abs() < 0.5, "{sum} of {socket:#?}");
        prop_assert!(socket.held_ms() <= sum);
    }

    /// No sequence of events can break the machine.
    #[test]
    fn any_events(events in proptest::collection::vec((kind(), facts(), any::<u64>(), 0..3_u64, 0..3_u32), 0..80)) {
        let mut machine = Machine::new(Engine::Ebpf, 5);
        for (kind, facts, at_ns, socket, skipped) in events {
            machine.take(&Event { at_ns, socket: SocketId(socket), kind, facts, skipped });
        }
        let report = machine.report(u64::MAX, Detail::Whole, &Processes::default(), Losses::default());
        prop_assert!(report.held_ms_total.is_finite());
    }
}

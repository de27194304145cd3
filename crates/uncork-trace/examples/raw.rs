//! Scratch.
use uncork_trace::{Choice, Session, engine::Target};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let choice = if args[0] == "sample" { Choice::Sample } else { Choice::Ebpf };
    let (target, mut child) = if args[1] == "-p" {
        (Target::Pids(vec![args[2].parse().unwrap()]), None)
    } else if args[1] == "--all" { (Target::All, None) } else {
        (Target::Children, Some(()))
    };
    let mut session = Session::start(&target, choice, 500).unwrap();
    if let Ok(file) = std::env::var("EVENTS") { session.record(std::fs::File::create(file).unwrap()).unwrap(); }
    let mut child = child.take().map(|()| std::process::Command::new(&args[1]).args(&args[2..]).spawn().unwrap());
    let start = std::time::Instant::now();
    loop {
        let done = match &mut child { Some(c) => c.try_wait().unwrap().is_some(), None => start.elapsed().as_secs() >= 3 };
        session.turn().unwrap();
        if done { break }
        std::thread::sleep(Session::TURN);
    }
    let report = session.finish().unwrap();
    for s in &report.sockets { println!("{} {}->{} w {} r {} bytes {} segs {} limit {:?}\n   {:?}", s.command, s.local, s.remote, s.writes, s.reads, s.bytes_sent, s.segments_sent, s.limit, s.shares); for t in &s.stalls { println!("   {:?}", t); } }
    println!("{} ± {} ms, events {} skipped {} lost {} {:?}", report.held_ms_total, report.held_ms_error, report.events, report.events_skipped, report.events_lost, report.notes);
}

use uncork_trace::{ebpf::EbpfEngine, engine::Target};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut engine = EbpfEngine::start(&Target::Children).unwrap();
    let mut child = std::process::Command::new(&args[0]).args(&args[1..]).spawn().unwrap();
    loop {
        let done = child.try_wait().unwrap().is_some();
        engine.drain(&mut |e| println!("{}", serde_json::to_string(&e).unwrap()));
        if done { break }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    eprintln!("{:?}", engine.losses());
}

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

#[test]
fn names_of_interpreters() {
    #[track_caller]
    fn check(name: &str, expected: Option<Language>) {
        assert_eq!(tell(name, "", &Sections::default()), expected, "{name}");
    }
    check("python3.11", Some(Language::Python));
    check("python3.11 (deleted)", Some(Language::Python));
    check("pypy3", Some(Language::Python));
    check("node", Some(Language::Node));
    check("nodejs", Some(Language::Node));
    check("java", Some(Language::Java));
    check("dotnet", Some(Language::DotNet));
    check("php8.2", Some(Language::Php));
    check("php-fpm8.2", Some(Language::Php));
    check("perl5.36-x86_64-linux-gnu", Some(Language::Perl));
    check("ruby3.1", Some(Language::Ruby));
    // Written in Go, C and C.
    check("node_exporter", None);
    check("perlbal", None);
    check("nginx", None);
}

#[test]
fn libraries_of_runtimes() {
    #[track_caller]
    fn check(exe: &str, path: &str, expected: Option<Language>) {
        let maps = format!(
            "55d0c0000000-55d0c0001000 r--p 00000000 fe:00 12 /usr/bin/{exe}\n\
             7ffd0a000000-7ffd0a021000 rw-p 00000000 00:00 0 [stack]\n\
             7f0000000000-7f0000001000 r-xp 00001000 fe:00 34 {path}\n"
        );
        assert_eq!(tell(exe, &maps, &Sections::default()), expected, "{path}");
    }
    check(
        "uwsgi",
        "/usr/lib/libpython3.11.so.1.0",
        Some(Language::Python),
    );
    check("electron", "/opt/a b/libnode.so.108", Some(Language::Node));
    check(
        "idea",
        "/opt/jbr/lib/server/libjvm.so",
        Some(Language::Java),
    );
    check(
        "shop",
        "/usr/share/dotnet/libcoreclr.so",
        Some(Language::DotNet),
    );
    check(
        "shop",
        "/memfd:doublemapper (deleted)",
        Some(Language::DotNet),
    );
    check("puma", "/usr/lib/libruby-3.1.so.3.1", Some(Language::Ruby));
    check("amavis", "/usr/lib/libperl.so.5.36", Some(Language::Perl));
    // A folder of that name is no library, and a server's interpreter is not its language.
    check("curl", "/srv/libpython/libcurl.so.4", None);
    check("nginx", "/usr/lib/libperl.so.5.36", None);
    check("apache2", "/usr/lib/apache2/modules/libphp8.2.so", None);
}

#[test]
fn what_compilers_leave() {
    let sections = |names: &[&str], has_rust| Sections {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        has_rust,
    };
    let told = |sections| tell("program", "", &sections);
    assert_eq!(
        told(sections(&[".text", ".go.buildinfo"], false)),
        Some(Language::Go)
    );
    assert_eq!(told(sections(&[".text"], true)), Some(Language::Rust));
    assert_eq!(
        told(sections(&["__managedcode"], false)),
        Some(Language::DotNet)
    );
    assert_eq!(told(sections(&[".text", ".comment"], false)), None);
}

#[test]
fn this_test_is_written_in_rust() {
    assert_eq!(of_process(std::process::id()), Some(Language::Rust));
    assert_eq!(of_process(u32::MAX), None);
}

/// Files that are no executables, or lie about what is in them, tell nothing and cost nothing.
#[test]
fn hostile_executables() {
    #[track_caller]
    fn check(bytes: &[u8]) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let read = Sections::read(&file);
        assert_eq!(read.and_then(|sections| sections.language()), None);
    }
    check(b"");
    check(b"#!/bin/sh\n");
    let own = std::fs::read("/proc/self/exe").unwrap();
    check(&own[..64]);
    check(&own[..4096]);
    // The section headers begin beyond the end, or at the very end of what can be counted.
    for offset in [own.len() as u64, u64::MAX, u64::MAX - 63] {
        let mut header = own[..64].to_vec();
        header[40..48].copy_from_slice(&offset.to_ne_bytes());
        check(&header);
    }
    // As many sections as there can be, all over the header itself, in a file that is long enough.
    let mut header = vec![0xff; 1 << 20];
    header[..64].copy_from_slice(&own[..64]);
    header[40..48].copy_from_slice(&64_u64.to_ne_bytes());
    header[60..62].copy_from_slice(&u16::MAX.to_ne_bytes());
    check(&header);
    // A terabyte of nothing, as its section table says.
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 40).unwrap();
    file.write_all_at(&own[..64], 0).unwrap();
    let read = Sections::read(&file);
    assert_eq!(read.and_then(|sections| sections.language()), None);
}

/// A program that says that it runs, and then waits.
struct Waiting(Child);

impl Waiting {
    /// `None`, said aloud, where the program isn't installed.
    fn start(command: &mut Command) -> Option<Self> {
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            skip(command);
            return None;
        };
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let waiting = Self(child);
        if line.trim() != "ready" {
            skip(command);
            return None;
        }
        Some(waiting)
    }
}

fn skip(command: &Command) {
    eprintln!("SKIPPED: {} is not here", command.get_program().display());
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn check_program(command: &mut Command, expected: Language) {
    if let Some(waiting) = Waiting::start(command) {
        assert_eq!(of_process(waiting.0.id()), Some(expected));
    }
}

#[test]
fn interpreters_that_run() {
    check_program(
        Command::new("python3").args(["-c", "print('ready', flush=True); input()"]),
        Language::Python,
    );
    check_program(
        Command::new("node").args(["-e", "console.log('ready'); process.stdin.resume()"]),
        Language::Node,
    );
    check_program(
        Command::new("perl").args(["-e", "$| = 1; print qq(ready\\n); <STDIN>"]),
        Language::Perl,
    );
    check_program(
        Command::new("ruby").args(["-e", "$stdout.sync = true; puts 'ready'; gets"]),
        Language::Ruby,
    );
    check_program(
        Command::new("php").args(["-r", "echo \"ready\\n\"; fgets(STDIN);"]),
        Language::Php,
    );
}

#[test]
fn a_java_program_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("Ready.java");
    let text = "class Ready { public static void main(String[] a) throws Exception {\n\
                System.out.println(\"ready\"); System.in.read(); } }\n";
    std::fs::write(&source, text).unwrap();
    check_program(Command::new("java").arg(&source), Language::Java);
}

#[test]
fn a_go_program_that_runs_without_its_symbols() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("ready.go");
    let text = "package main\nimport (\"fmt\"; \"os\")\n\
                func main() { fmt.Println(\"ready\"); os.Stdin.Read(make([]byte, 1)) }\n";
    std::fs::write(&source, text).unwrap();
    let program = folder.path().join("ready");
    if compile(&mut go(folder.path(), &source, &program)) {
        check_program(&mut Command::new(&program), Language::Go);
    }
}

#[test]
fn a_rust_program_that_runs_without_its_symbols() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("ready.rs");
    let text = "fn main() { println!(\"ready\"); let _ = std::io::stdin().read_line(&mut String::new()); }";
    std::fs::write(&source, text).unwrap();
    let program = folder.path().join("ready");
    let mut rustc = Command::new("rustc");
    rustc.args(["-O", "-C", "strip=symbols", "-o"]);
    if !compile(rustc.arg(&program).arg(&source)) {
        return;
    }
    check_program(&mut Command::new(&program), Language::Rust);
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["--remove-section=.comment"]);
    if compile(objcopy.arg(&program)) {
        check_program(&mut Command::new(&program), Language::Rust);
    }
}

fn go(folder: &Path, source: &Path, program: &Path) -> Command {
    let mut go = Command::new("go");
    go.args(["build", "-ldflags=-s -w", "-o"])
        .arg(program)
        .arg(source)
        .env("GOCACHE", folder.join("cache"))
        .env("GO111MODULE", "off")
        .current_dir(folder);
    go
}

fn compile(command: &mut Command) -> bool {
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_compiled = done.is_ok_and(|status| status.success());
    if !is_compiled {
        skip(command);
    }
    is_compiled
}

proptest::proptest! {
    /// Names and maps are given by whoever runs a program.
    #[test]
    fn any_name_and_any_maps(name in ".*", maps in ".*", sections in ".*") {
        let sections = Sections { names: vec![sections], has_rust: false };
        let _ = tell(&name, &maps, &sections);
    }

    /// The header of an executable, broken in any way.
    #[test]
    fn any_header(at in 0..64_usize, byte: u8, length in 0..8192_usize) {
        let mut bytes = std::fs::read("/bin/true").unwrap_or_default();
        bytes.truncate(length.max(64));
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let _ = Sections::read(&file);
    }
}

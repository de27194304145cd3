//! `uncork serve` before the clients that people have: wget, curl and a browser.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use uncork_lab::requirement;

use crate::running::Running;
use crate::signals::{kill, wait_for};
use crate::support::uncork;

/// A server of one site, which stands in its folder `site`, and what it wrote down. One thread, so that
/// the log is in the order of the responses.
struct Serving {
    running: Running,
    place: TempDir,
}

impl Serving {
    /// Serves what `fill` puts into the folder, with these rules.
    fn start(rules: &str, fill: impl FnOnce(&Path)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let site = place.path().join("site");
        fs::create_dir(&site).unwrap();
        fill(&site);
        let config = place.path().join("uncork.toml");
        let text = format!(
            "threads = 1\n[log]\nformat = 'json'\nfile = 'log/access.log'\n\
             [[site]]\nhosts = ['_default']\nroot = 'site'\n{rules}\n"
        );
        fs::write(&config, text).unwrap();
        fs::create_dir(place.path().join("log")).unwrap();
        let mut command = uncork();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--config"]);
        let running = Running::start(command.arg(config));
        Self { running, place }
    }

    fn site(&self) -> PathBuf {
        self.place.path().join("site")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    /// Ends it by SIGTERM, and returns the records of its access log.
    fn end(mut self) -> Vec<Value> {
        self.running.end();
        let log = fs::read_to_string(self.place.path().join("log/access.log")).unwrap();
        let records = log.lines().map(serde_json::from_str);
        records.collect::<Result<_, _>>().unwrap()
    }
}

/// The records of one target.
fn of<'r>(records: &'r [Value], target: &str) -> Vec<&'r Value> {
    let those = records.iter().filter(|one| one["target"] == target);
    those.collect()
}

/// Runs a client to its end, which has to be a good one. Returns what it printed.
#[track_caller]
fn run(client: &mut Command) -> Vec<u8> {
    let output = client.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client:?}: {said}");
    output.stdout
}

/// Bytes that repeat nowhere near, other ones for each seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Compresses a file beside itself, and keeps it.
fn gzip(program: &Path, file: &Path) {
    run(Command::new(program)
        .args(["--keep", "--best", "--no-name"])
        .arg(file));
}

/// A brotli stream that holds these bytes as they are (RFC 7932, section 9.2): no encoder is needed
/// to see whether a client decodes what it gets.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    assert!((1..=1 << 16).contains(&bytes.len()));
    // From the lowest bit: a window of 16 bits (0), not the last block (0), a length of four nibbles
    // (00), that length less one, not compressed (1).
    let len = u32::try_from(bytes.len() - 1).unwrap();
    let head = (len << 4 | 1 << 20).to_le_bytes();
    // The last block is an empty one (11).
    [&head[..3], bytes, &[0b11]].concat()
}

#[test]
fn the_second_signal_waits_for_no_client() {
    let mut serving = Serving::start("", |site| {
        fs::write(site.join("large.bin"), vec![0; 50_000_000]).unwrap();
    });
    let mut stuck = TcpStream::connect(serving.running.address()).unwrap();
    let request = b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stuck.write_all(request).unwrap();
    stuck.read_exact(&mut [0; 15]).unwrap();
    kill(&serving.running.child, "-TERM");
    wait_for(|| TcpStream::connect(serving.running.address()).is_err());
    assert!(serving.running.child.try_wait().unwrap().is_none());
    kill(&serving.running.child, "-TERM");
    assert_eq!(serving.running.child.wait().unwrap().code(), Some(130));
}

#[test]
fn both_wildcards_can_be_listened_on() {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        return requirement::skip(&format!("no IPv6 loopback: {error}"));
    }
    let free = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.html"), "there").unwrap();
    let mut command = uncork();
    command
        .args(["serve", "--json", "--root"])
        .arg(folder.path());
    for address in ["0.0.0.0", "[::]"] {
        command.args(["--listen", &format!("{address}:{port}")]);
    }
    let running = Running::start(&mut command);
    assert_eq!(running.ready["listening"].as_array().unwrap().len(), 2);
    for address in ["127.0.0.1", "[::1]"] {
        let mut stream = TcpStream::connect(format!("{address}:{port}")).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.ends_with("there"), "{response}");
    }
}

#[test]
fn wget_mirrors_ten_thousand_files() {
    const FOLDERS: usize = 100;
    const FILES: usize = 100;
    let Some(wget) = requirement::program("wget") else {
        return;
    };
    let name = |file: usize| match file {
        0 => "Ein Ümlaut & 100% #1.txt".to_owned(),
        1 => "<b>\"quoted\"'+;=~.txt".to_owned(),
        _ => format!("{file}.bin"),
    };
    let len = |folder: usize, file: usize| match (folder, file) {
        (_, 2) => 0,
        (0, 3) => 3_000_000,
        _ => (folder * FILES + file) % 4096,
    };
    let serving = Serving::start("listing = true", |site| {
        for folder in 0..FOLDERS {
            let path = site.join(format!("folder {folder}"));
            fs::create_dir(&path).unwrap();
            for file in 0..FILES {
                let seed = (folder * FILES + file) as u64;
                fs::write(path.join(name(file)), noise(seed, len(folder, file))).unwrap();
            }
        }
    });
    let copy = tempfile::tempdir().unwrap();
    run(Command::new(wget)
        .args([
            "--mirror",
            "--no-verbose",
            "--no-host-directories",
            "--no-iri",
        ])
        .args([
            "--reject-regex",
            "[?]sort=",
            "--restrict-file-names=unix,nocontrol",
        ])
        .args(["--execute", "robots=off", "--no-proxy", "--no-hsts"])
        .arg("--directory-prefix")
        .args([copy.path().as_os_str(), serving.url("/").as_ref()]));
    for folder in 0..FOLDERS {
        let path = copy.path().join(format!("folder {folder}"));
        for file in 0..FILES {
            let seed = (folder * FILES + file) as u64;
            let bytes = fs::read(path.join(name(file))).unwrap();
            assert!(bytes == noise(seed, len(folder, file)), "{folder}/{file}");
        }
        // What wget made of the listing.
        assert_eq!(fs::read_dir(&path).unwrap().count(), FILES + 1);
    }
    let records = serving.end();
    assert!(records.len() > FOLDERS * FILES);
    assert!(records.iter().all(|record| record["status"] == 200));
}

#[test]
fn curl_goes_on_with_a_download_that_was_cut_off() {
    const LEN: usize = 8_000_000;
    let Some(curl) = requirement::program("curl") else {
        return;
    };
    let serving = Serving::start("", |site| {
        fs::write(site.join("large.bin"), noise(1, LEN)).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let download = || {
        let mut command = Command::new(&curl);
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
        command.arg("--output").arg(&part);
        command.arg(serving.url("/large.bin"));
        command
    };
    let mut slow = download();
    let mut slow = slow.args(["--limit-rate", "2M"]).spawn().unwrap();
    let part_bytes = || fs::metadata(&part).map_or(0, |facts| facts.len());
    wait_for(|| part_bytes() > 1_000_000);
    slow.kill().unwrap();
    slow.wait().unwrap();
    let there = part_bytes();
    assert!(there < LEN as u64);

    run(download().args(["--continue-at", "-"]));
    assert!(fs::read(&part).unwrap() == noise(1, LEN));
    let records = serving.end();
    let (rest, whole): (Vec<&Value>, Vec<&Value>) =
        records.iter().partition(|one| one["status"] == 206);
    assert_eq!((whole.len(), rest.len()), (1, 1), "{records:?}");
    assert_eq!(whole[0]["status"], 200);
    assert_eq!(rest[0]["bytes"], LEN as u64 - there);
}

#[test]
fn curl_decodes_what_was_compressed_beforehand() {
    let (Some(curl), Some(gzip_program)) =
        (requirement::program("curl"), requirement::program("gzip"))
    else {
        return;
    };
    let text = "A line that is there many times.\n".repeat(1000);
    let serving = Serving::start("", |site| {
        for name in ["both.txt", "gz.txt", "neither.txt", "only.txt"] {
            fs::write(site.join(name), &text).unwrap();
        }
        for name in ["both.txt", "gz.txt", "only.txt"] {
            gzip(&gzip_program, &site.join(name));
        }
        fs::remove_file(site.join("only.txt")).unwrap();
        fs::write(site.join("both.txt.br"), brotli(text.as_bytes())).unwrap();
    });
    let get = |target: &str, arguments: &[&str]| {
        let mut command = Command::new(&curl);
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
        let body = run(command.args(arguments).arg(serving.url(target)));
        assert!(body == text.as_bytes(), "{target}");
    };
    let brotli_bytes = brotli(text.as_bytes()).len() as u64;
    let gzip_bytes = fs::metadata(serving.site().join("gz.txt.gz"))
        .unwrap()
        .len();
    let plain_bytes = text.len() as u64;
    // curl may have been built without brotli: then it is told to speak of it, and gets gzip.
    let version = run(Command::new(&curl).arg("--version"));
    let knows_brotli = String::from_utf8_lossy(&version).contains("brotli/");
    let best = if knows_brotli {
        brotli_bytes
    } else {
        gzip_bytes
    };
    let table = [
        ("/both.txt", true, best),
        ("/gz.txt", true, gzip_bytes),
        ("/only.txt", true, gzip_bytes),
        ("/neither.txt", true, plain_bytes),
        ("/both.txt", false, plain_bytes),
    ];
    for (target, compressed, _) in table {
        get(target, if compressed { &["--compressed"] } else { &[] });
    }
    let records = serving.end();
    let sent: Vec<_> = records.iter().map(|one| one["bytes"].as_u64()).collect();
    let expected: Vec<_> = table.iter().map(|(.., bytes)| Some(*bytes)).collect();
    assert_eq!(sent, expected);
}

/// Every kind of thing that a page loads. What became of it ends up in its text.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A site</title>
<link rel="stylesheet" href="style.css">
<p id="styled">Text</p>
<img id="near" src="dot.svg" alt="">
<img id="far" src="images/deep/dot.png" alt="">
<video id="film" preload="metadata" muted src="film.webm"></video>
<pre id="found"></pre>
<script type="module" src="js/main.js"></script>
</html>
"#;

const SCRIPT: &str = r#"import { sum } from "./sum.js";

// The browser is told to let its time pass wherever nothing is under way on the network, and does not
// count media to that: so a question is always under way while something is waited for.
const until = async (target, name) => {
    let came = false;
    target.addEventListener(name, () => { came = true; });
    while (!came) await fetch("wait.json", { cache: "no-store" });
};

const found = {};
try {
    found.sum = sum(20, 22);
    found.color = getComputedStyle(document.getElementById("styled")).color;
    for (const id of ["near", "far"]) {
        const image = document.getElementById(id);
        await image.decode();
        found[id] = image.naturalWidth;
    }
    const first = await fetch("data.json", { cache: "no-store" });
    found.answer = (await first.json()).answer;
    const headers = { "If-None-Match": first.headers.get("ETag") };
    found.again = (await fetch("data.json", { cache: "no-store", headers })).status;
    const film = document.getElementById("film");
    if (film.readyState < HTMLMediaElement.HAVE_METADATA) await until(film, "loadedmetadata");
    found.film = [film.videoWidth, film.videoHeight];
    found.seconds = Math.round(film.duration);
    film.currentTime = found.seconds - 1;
    await until(film, "seeked");
    found.at = film.currentTime;
} catch (error) {
    found.error = String(error);
}
document.getElementById("found").textContent = JSON.stringify(found);
"#;

/// Five by three black pixels.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x05\0\0\0\x03\x08\0\0\0\0\x7e\x5d\x9a\x24\
    \0\0\0\x0bIDAT\x78\xda\x63\x60\x40\x07\0\0\x12\0\x01\xe4\x55\x8d\xe7\0\0\0\0IEND\xae\x42\x60\x82";

/// Writes a film of three minutes, the same ten seconds again and again, of noise so that it is long: 3 Mbit
/// of each second. Its index is in front: else Chromium reads it from beginning to end.
fn film(ffmpeg: &Path, file: &Path) {
    let short = file.with_extension("short.webm");
    let source = "testsrc2=size=320x180:rate=25:duration=10";
    run(Command::new(ffmpeg)
        .args(["-v", "error", "-f", "lavfi", "-i", source])
        .args(["-vf", "noise=alls=40:allf=t", "-c:v", "libvpx", "-g", "25"])
        .args(["-deadline", "realtime", "-cpu-used", "16", "-b:v", "3M"])
        .arg(&short));
    run(Command::new(ffmpeg)
        .args(["-v", "error", "-stream_loop", "17", "-i"])
        .arg(&short)
        .args(["-c", "copy", "-reserve_index_space", "64k"])
        .arg(file));
}

#[test]
fn a_browser_loads_a_site() {
    const SECONDS: u32 = 180;
    let (Some(chromium), Some(ffmpeg), Some(gzip_program)) = (
        requirement::program("chromium"),
        requirement::program("ffmpeg"),
        requirement::program("gzip"),
    ) else {
        return;
    };
    let style = "#styled { color: rgb(1, 2, 3); }\n".repeat(100);
    let serving = Serving::start("", |site| {
        fs::create_dir_all(site.join("images/deep")).unwrap();
        fs::create_dir(site.join("js")).unwrap();
        let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'/>";
        for (name, bytes) in [
            ("index.html", PAGE.as_bytes()),
            ("style.css", style.as_bytes()),
            ("style.css.br", &brotli(style.as_bytes())),
            ("dot.svg", svg.as_bytes()),
            ("images/deep/dot.png", PNG),
            ("js/main.js", SCRIPT.as_bytes()),
            ("js/sum.js", b"export const sum = (a, b) => a + b;\n"),
            ("data.json", b"{ \"answer\": 42 }\n"),
            ("wait.json", b"{}\n"),
        ] {
            fs::write(site.join(name), bytes).unwrap();
        }
        gzip(&gzip_program, &site.join("style.css"));
        film(&ffmpeg, &site.join("film.webm"));
    });
    let film_bytes = fs::metadata(serving.site().join("film.webm"))
        .unwrap()
        .len();
    let profile = tempfile::tempdir().unwrap();
    let page = run(Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-proxy-server",
        ])
        .args(["--no-first-run", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args([
            "--virtual-time-budget=60000",
            "--dump-dom",
            &serving.url("/"),
        ])
        .env("HOME", profile.path()));
    let page = String::from_utf8(page).unwrap();
    let found = page.split_once("<pre id=\"found\">");
    let found = found.and_then(|(_, rest)| rest.split_once("</pre>"));
    let (found, _) = found.unwrap_or_else(|| panic!("{page}"));
    let expected = serde_json::json!({
        "sum": 42, "color": "rgb(1, 2, 3)", "near": 7, "far": 5, "answer": 42, "again": 304,
        "film": [320, 180], "seconds": SECONDS, "at": SECONDS - 1,
    });
    assert_eq!(serde_json::from_str::<Value>(found).unwrap(), expected);

    let compressed = ["gz", "br"].map(|suffix| {
        let file = serving.site().join(format!("style.css.{suffix}"));
        fs::metadata(file).unwrap().len()
    });
    let records = serving.end();
    let bytes = |record: &Value| record["bytes"].as_u64().unwrap();
    // To an address that is no name of this machine, brotli is not accepted without TLS.
    let styles = of(&records, "/style.css");
    assert!(compressed.contains(&bytes(styles[0])), "{styles:?}");
    // What it has in its own cache it asks for with a condition.
    let media = of(&records, "/film.webm");
    let (parts, others): (Vec<&Value>, Vec<&Value>) =
        media.into_iter().partition(|one| one["status"] == 206);
    assert!(parts.len() >= 2, "{parts:?}");
    assert!(others.iter().all(|one| one["status"] == 304), "{others:?}");
    // The end was not reached by reading all of it.
    let read: u64 = parts.into_iter().map(bytes).sum();
    assert!(read < film_bytes, "{read} of {film_bytes}");
    let again = of(&records, "/data.json");
    let statuses: Vec<_> = again.iter().map(|record| &record["status"]).collect();
    assert_eq!(statuses, [200, 304]);
}

//! A folder of sites that changes while it is served.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use tempfile::TempDir;
use uncork_serve::config::Config;

use crate::support::{Response, Served, test_limits, until, write};

fn start(hosts: &[&str]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let sites = folder.path().join("sites");
    fs::create_dir(&sites).unwrap();
    for host in hosts {
        write(&sites.join(host).join("index.html"), host);
    }
    start_in(folder)
}

fn start_in(folder: TempDir) -> Served {
    let mut config = Config::of_hosts(folder.path().join("sites"));
    config.limits = test_limits();
    config.threads = Some(2);
    Served::of(folder, config)
}

#[track_caller]
fn of_host(served: &Served, host: &str) -> Response {
    served.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// Asks until a host is answered so, by each of the workers.
#[track_caller]
fn until_so(served: &Served, host: &str, status: u16, text: &str) {
    until(|| {
        let is_so = |response: &Response| {
            response.status == status && (text.is_empty() || response.text() == text)
        };
        let all = (0..8).all(|_| is_so(&of_host(served, host)));
        all.then_some(())
    });
}

#[test]
fn folders_are_sites() {
    let served = start(&["a.example", "*.wild.example", "_default", "B.Example"]);
    of_host(&served, "A.example:80").says("a.example");
    of_host(&served, "b.example").says("B.Example");
    of_host(&served, "x.y.wild.example").says("*.wild.example");
    of_host(&served, "wild.example").says("_default");
    of_host(&served, "..").is(400);
}

#[test]
fn a_folder_that_appears_is_served() {
    let served = start(&["a.example"]);
    of_host(&served, "new.example").is(421);
    // An open connection has it, too.
    let mut client = served.client();
    client.send("GET / HTTP/1.1\r\nHost: new.example\r\n\r\n");
    client.response().is(421);
    let site = served.folder.path().join("sites/new.example");
    write(&site.join("index.html"), "new");
    until_so(&served, "new.example", 200, "new");
    client.send("GET / HTTP/1.1\r\nHost: new.example\r\n\r\n");
    client.response().is(200).says("new");
    of_host(&served, "a.example").is(200).says("a.example");
}

#[test]
fn a_folder_that_goes_is_not_served_any_more() {
    let served = start(&["a.example", "b.example"]);
    let mut client = served.client();
    client.send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    client.response().is(200).says("b.example");
    fs::remove_dir_all(served.folder.path().join("sites/b.example")).unwrap();
    until_so(&served, "b.example", 421, "");
    client.send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    client.response().is(421);
    of_host(&served, "a.example").is(200);
}

#[test]
fn a_folder_that_is_renamed_is_another_site() {
    let served = start(&["old.example", "_default"]);
    of_host(&served, "old.example").says("old.example");
    let sites = served.folder.path().join("sites");
    fs::rename(sites.join("old.example"), sites.join("new.example")).unwrap();
    until_so(&served, "new.example", 200, "old.example");
    until_so(&served, "old.example", 200, "_default");
    fs::rename(sites.join("new.example"), sites.join("*.wild.example")).unwrap();
    until_so(&served, "a.wild.example", 200, "old.example");
    until_so(&served, "new.example", 200, "_default");
    fs::rename(sites.join("_default"), sites.join(".hidden")).unwrap();
    until_so(&served, "new.example", 421, "");
}

/// The folder that is watched is another one now.
#[test]
fn the_whole_folder_is_exchanged() {
    let served = start(&["a.example"]);
    of_host(&served, "a.example").is(200);
    let sites = served.folder.path().join("sites");
    let next = served.folder.path().join("next");
    write(&next.join("a.example/index.html"), "second");
    write(&next.join("b.example/index.html"), "b");
    fs::rename(&sites, served.folder.path().join("before")).unwrap();
    fs::rename(&next, &sites).unwrap();
    until_so(&served, "b.example", 200, "b");
    until_so(&served, "a.example", 200, "second");
    // And that one is watched.
    write(&sites.join("c.example/index.html"), "c");
    until_so(&served, "c.example", 200, "c");
}

/// A folder that can't be read for a while takes no site away.
#[test]
fn the_folder_is_gone_for_a_while() {
    let served = start(&["a.example"]);
    let sites = served.folder.path().join("sites");
    let away = served.folder.path().join("away");
    fs::rename(&sites, &away).unwrap();
    // The site is still known, though there is no file beneath it.
    until_so(&served, "a.example", 404, "");
    fs::rename(&away, &sites).unwrap();
    until_so(&served, "a.example", 200, "a.example");
    write(&sites.join("b.example/index.html"), "b");
    until_so(&served, "b.example", 200, "b");
}

/// Nothing in the folder of sites changes when that to which a link leads appears.
#[test]
fn a_link_is_a_site_as_soon_as_it_leads_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let sites = folder.path().join("sites");
    fs::create_dir(&sites).unwrap();
    symlink("../elsewhere", sites.join("a.example")).unwrap();
    let served = start_in(folder);
    of_host(&served, "a.example").is(421);
    // After what the watcher does at its start.
    std::thread::sleep(Duration::from_millis(1500));
    let target = served.folder.path().join("elsewhere");
    write(&target.join("index.html"), "linked");
    until_so(&served, "a.example", 200, "linked");
    // A new configuration has the folder read anew, and meets the same.
    fs::rename(&target, served.folder.path().join("away")).unwrap();
    let mut config = Config::of_hosts(sites);
    config.limits = test_limits();
    served.server().reload(config).unwrap();
    of_host(&served, "a.example").is(421);
    fs::rename(served.folder.path().join("away"), &target).unwrap();
    until_so(&served, "a.example", 200, "linked");
}

#[test]
fn a_site_of_the_configuration_goes_before_a_folder() {
    let text = "hosts = \"sites\"\n[[site]]\nhosts = [\"a.example\"]\nroot = \"own\"\n";
    let files = [
        ("sites/a.example/index.html", "folder"),
        ("sites/b.example/index.html", "b"),
        ("own/index.html", "own"),
    ];
    let served = Served::by(text, &files);
    of_host(&served, "a.example").says("own");
    of_host(&served, "b.example").says("b");
}

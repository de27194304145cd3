//! Where the password comes from, and that it goes to the server only.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use crate::support::{Lab, PASSWORD, mails, run, uncork};

#[test]
fn every_way_to_give_it() {
    let (source, lab) = (mails(1), Lab::careful());
    let (source, url) = (source.path().to_str().unwrap(), lab.url(""));
    let copies = ["--journal", "none", "--existing", "append"];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pass word");
    let file_name = file.to_str().unwrap();
    let mut stored = 0;
    for content in ["", "\n", "\r\n", "\nsecond line\n"] {
        fs::write(&file, format!("{PASSWORD}{content}")).unwrap();
        let from_file = ["import", source, &url, "--password-file", file_name];
        run(uncork().args(from_file).args(copies)).with(0);
        // What is said on the command line counts more than the environment.
        let mut command = uncork();
        command.args(from_file).args(copies);
        run(command.env("UNCORK_PASSWORD", "wrong")).with(0);
        let script = format!("cat '{file_name}'");
        let from_command = ["import", source, &url, "--password-command", &script];
        run(uncork().args(from_command).args(copies)).with(0);
        stored += 3;
        assert_eq!(lab.server.stored(), stored);
    }
    let mut command = uncork();
    command.args(["import", source, &url]).args(copies);
    run(command.env("UNCORK_PASSWORD", PASSWORD)).with(0);
    assert_eq!(lab.server.stored(), stored + 1);
}

/// The lab's server knows no tokens.
#[test]
fn a_token_that_can_not_be_used() {
    let (source, lab) = (mails(1), Lab::careful());
    let import = ["import", source.path().to_str().unwrap(), &lab.url("")];
    let command = format!("echo {PASSWORD}");
    let ended = run(uncork().args(import).args(["--token-command", &command])).with(3);
    ended.says(&["nothing was imported", "log in ada"]);
    assert_eq!(lab.server.stored(), 0);
}

#[test]
fn none_is_wrong_usage() {
    let (source, lab) = (mails(1), Lab::careful());
    let (source, url) = (source.path().to_str().unwrap(), lab.url(""));
    let import = ["import", source, &url];
    let ended = run(uncork().args(import)).with(2);
    ended.says(&[
        "no password",
        "UNCORK_PASSWORD",
        "--password-file",
        "--password-command",
        "--token-command",
    ]);
    let two = ["--password-file", "x", "--token-command", "y"];
    run(uncork().args(import).args(two)).with(2);

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty"), "").unwrap();
    fs::write(path("blank"), "\nx\n").unwrap();
    for (name, why) in [
        ("missing", "No such file"),
        ("empty", "is empty"),
        ("blank", "is empty"),
        ("", "directory"),
    ] {
        let mut command = uncork();
        command.args(import).arg("--password-file").arg(path(name));
        run(&mut command)
            .with(2)
            .says(&[path(name).to_str().unwrap(), why]);
    }
    for (script, why) in [
        ("exit 7", "exit status: 7"),
        ("true", "printed nothing"),
        ("echo", "printed nothing"),
        ("printf '\\377'", "no text"),
    ] {
        let ended = run(uncork().args(import).args(["--password-command", script])).with(2);
        ended.says(&["password command", why]);
    }
    assert_eq!(lab.server.connections(), 0);
}

/// While it runs, as anybody on the machine may look.
#[test]
fn it_is_not_in_the_process_list() {
    let source = mails(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("imap://ada@{}/", listener.local_addr().unwrap());
    let by_file = [
        "--password-file".to_owned(),
        file.to_str().unwrap().to_owned(),
    ];
    let by_command = [
        "--password-command".to_owned(),
        format!("cat {}", file.display()),
    ];
    for options in [&by_file[..], &by_command, &[]] {
        let mut command = uncork();
        command
            .args(["import", source.path().to_str().unwrap(), &url])
            .args(options);
        if options.is_empty() {
            command.env("UNCORK_PASSWORD", PASSWORD);
        }
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It has its password, and waits for a greeting.
        let (stream, _) = listener.accept().unwrap();
        let seen = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        drop(stream);
        let seen = String::from_utf8(seen).unwrap();
        assert!(
            seen.contains("import") && !seen.contains(PASSWORD),
            "{seen:?}"
        );
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(3));
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

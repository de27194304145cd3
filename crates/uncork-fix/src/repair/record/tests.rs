use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn entry(cookie: u64, boot: &str) -> Entry {
    Entry::with(cookie, std::process::id(), boot)
}

fn cookies(record: &mut Record) -> Vec<u64> {
    let entries = record.entries().unwrap();
    entries.iter().map(|entry| entry.cookie).collect()
}

fn append(record: &mut Record, text: &str) {
    record.file.seek(SeekFrom::End(0)).unwrap();
    record.file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn entries_come_back_and_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = Record::open_in(&folder.path().join("uncork")).unwrap();
    assert!(cookies(&mut record).is_empty());
    let boot = record.boot.clone();
    for cookie in 1..=4 {
        let line = entry(cookie, &boot).line();
        append(&mut record, &format!("\n{line}"));
    }
    // Of another start, cut off, and no entry at all.
    let other = entry(9, "another").line();
    append(
        &mut record,
        &format!(
            "\n{other}\n{{\"boot\":\"x\nnull\n\u{fffd}\0{}",
            "x".repeat(5000)
        ),
    );
    let mut second = Record::open_in(&folder.path().join("uncork")).unwrap();
    let line = entry(5, &boot).line();
    append(&mut second, &format!("\n{line}"));
    assert_eq!(cookies(&mut record), [1, 2, 3, 4, 5]);
    record.remove(|entry| entry.cookie % 2 == 0).unwrap();
    assert_eq!(cookies(&mut second), [1, 3, 5]);
    let text = fs::read_to_string(record.path()).unwrap();
    assert_eq!(
        text.lines().filter(|line| !line.is_empty()).count(),
        3,
        "{text}"
    );
    second.remove(|_| true).unwrap();
    assert_eq!(fs::metadata(record.path()).unwrap().len(), 0);
}

#[test]
fn a_folder_must_be_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let refused = |name: &str| Record::open_in(&at(name)).unwrap_err().to_string();
    symlink(folder.path(), at("link")).unwrap();
    assert!(
        refused("link").contains("link: open: "),
        "{}",
        refused("link")
    );
    fs::create_dir(at("open")).unwrap();
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(refused("open").contains("is open to others"));
    fs::write(at("file"), "").unwrap();
    assert!(refused("file").contains("Not a directory"));
    assert!(refused("missing/folder").contains("mkdir"));
    // A link in the place of the file.
    fs::create_dir(at("mine")).unwrap();
    fs::set_permissions(at("mine"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink(at("file"), at("mine/fix.jsonl")).unwrap();
    assert!(
        refused("mine").contains("fix.jsonl can't be used (open: "),
        "{}",
        refused("mine")
    );
    let record = Record::open_in(&at("made")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&at("made")), mode(record.path())), (0o700, 0o600));
}

#[test]
fn room_is_made_by_dropping_what_is_over() {
    let entries: Vec<Entry> = (0..ENTRIES_MAX as u64)
        .map(|cookie| Entry::with(cookie, u32::try_from(cookie % 4).unwrap(), "boot"))
        .collect();
    let kept = drop_what_is_over(entries.clone(), |pid| pid == 1);
    assert_eq!(kept.len(), ENTRIES_MAX / 4);
    let kept = drop_what_is_over(entries, |_| true);
    assert_eq!(kept.len(), ENTRIES_MAX / 2);
    assert_eq!(kept.last().unwrap().cookie, ENTRIES_MAX as u64 - 1);
}

#[test]
fn all_places_are_read_and_one_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let add = |record: &mut Record, cookie| {
        let entry = entry(cookie, &record.boot);
        record.add(&entry).unwrap();
    };
    // Written where the first place would not do; and one that others could have written to.
    let mut elsewhere = Record::open_in(&at("elsewhere")).unwrap();
    add(&mut elsewhere, 1);
    add(&mut elsewhere, 2);
    let mut foreign = Record::open_in(&at("foreign")).unwrap();
    add(&mut foreign, 3);
    fs::set_permissions(at("foreign"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::set_permissions(at("empty"), fs::Permissions::from_mode(0o700)).unwrap();

    for names in [
        ["foreign", "first", "missing", "elsewhere", "empty"],
        ["first", "foreign", "elsewhere", "empty", "missing"],
    ] {
        let mut record = Record::open_among(&names.map(at)).unwrap();
        add(&mut record, 4);
        assert_eq!(cookies(&mut record), [1, 2, 4]);
        assert_eq!(record.path(), at("first/fix.jsonl"));
        assert_eq!(cookies(&mut Record::open_in(&at("first")).unwrap()), [4]);
        record.remove(|entry| entry.cookie == 4).unwrap();
    }
    let mut record = Record::open_among(&["first", "elsewhere"].map(at)).unwrap();
    record.remove(|entry| entry.cookie == 2).unwrap();
    assert_eq!(cookies(&mut elsewhere), [1]);
    assert_eq!(cookies(&mut foreign), [3]);
    // What isn't there isn't made.
    assert!(!at("missing").exists() && !at("empty/fix.jsonl").exists());
}

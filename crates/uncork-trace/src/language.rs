//! In which language a process is written: the advice is a line of it.
//!
//! What runs the program says most: the name of an interpreter, then the libraries of a runtime,
//! then what a compiler leaves in the executable. All of it is a guess, and a wrong guess costs a
//! line that doesn't fit, so that what is not clear stays `None`.

use std::fs::File;
use std::io::Read;

use crate::report::Language;

mod executable;

pub use executable::Sections;

/// Bytes that are read of `/proc/PID/maps`: those of a large Java program are a megabyte.
const MAPS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Names of interpreters, perhaps with a version behind them.
const INTERPRETERS: &[(&str, Language)] = &[
    ("python", Language::Python),
    ("pypy", Language::Python),
    ("node", Language::Node),
    ("nodejs", Language::Node),
    // Both have Node's `net`, and name the option as it does.
    ("bun", Language::Node),
    ("deno", Language::Node),
    ("java", Language::Java),
    ("dotnet", Language::DotNet),
    ("php", Language::Php),
    ("php-fpm", Language::Php),
    ("php-cgi", Language::Php),
    ("perl", Language::Perl),
    ("ruby", Language::Ruby),
];

/// How the files of a runtime begin that a process has mapped.
const LIBRARIES: &[(&str, Language)] = &[
    ("libpython", Language::Python),
    ("libpypy", Language::Python),
    ("libnode.so", Language::Node),
    ("libjvm.so", Language::Java),
    ("libcoreclr.so", Language::DotNet),
    // A .NET program in one file has its runtime within itself; this is how it makes code.
    ("memfd:doublemapper", Language::DotNet),
    ("libruby", Language::Ruby),
    ("libphp", Language::Php),
    ("libperl.so", Language::Perl),
];

/// Programs in C that can hold an interpreter. Their sockets are their own as a rule, and the
/// interpreter's language is not theirs.
const HOSTS: &[&str] = &["apache2", "httpd", "nginx", "postgres", "haproxy", "exim4"];

/// The language of a process that runs. `None` where it can't be told, may not be looked at, or the
/// process is gone.
#[must_use]
pub fn of_process(pid: u32) -> Option<Language> {
    let link = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = link.file_name()?.to_string_lossy().into_owned();
    // What is in memory costs less than the file: it is opened only where the rest says nothing.
    let none = Sections::default();
    tell(&name, "", &none).or_else(|| {
        let maps = maps(pid).unwrap_or_default();
        tell(&name, &maps, &none).or_else(|| {
            let sections = File::open(format!("/proc/{pid}/exe")).ok();
            let sections = sections.and_then(|file| Sections::read(&file));
            tell(&name, &maps, &sections.unwrap_or_default())
        })
    })
}

/// The language of a program with this executable's name, the text of `/proc/PID/maps`, and what is
/// in the executable.
#[must_use]
pub fn tell(exe_name: &str, maps: &str, sections: &Sections) -> Option<Language> {
    let name = exe_name.strip_suffix(" (deleted)").unwrap_or(exe_name);
    let interpreter = INTERPRETERS
        .iter()
        .find(|(interpreter, _)| is_called(name, interpreter));
    if let Some((_, language)) = interpreter {
        return Some(*language);
    }
    if !HOSTS.contains(&name)
        && let Some(language) = maps.lines().find_map(library)
    {
        return Some(language);
    }
    sections.language()
}

/// `python3.11` is called `python`; `node_exporter`, which is written in Go, is not called `node`.
fn is_called(name: &str, interpreter: &str) -> bool {
    name.strip_prefix(interpreter)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The runtime that one line of `/proc/PID/maps` belongs to.
fn library(line: &str) -> Option<Language> {
    // Addresses, rights, offset, device and inode hold no slash, so that the path begins at the first.
    let (_, path) = line.split_once('/')?;
    let file = path.rsplit('/').next()?;
    LIBRARIES
        .iter()
        .find(|(library, _)| file.starts_with(library))
        .map(|(_, language)| *language)
}

fn maps(pid: u32) -> Option<String> {
    let file = File::open(format!("/proc/{pid}/maps")).ok()?;
    let mut bytes = Vec::new();
    // What was read before an error (the process has ended meanwhile) may be enough.
    let _ = file.take(MAPS_BYTES_MAX).read_to_end(&mut bytes);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;

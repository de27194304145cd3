//! What a compiler leaves in an executable.
//!
//! An executable is a file like any other, and anybody may have made it: each read has a bound, and
//! nothing in the file says how much memory is taken.

use std::fs::File;
use std::os::unix::fs::FileExt;

use memchr::memmem;
use object::elf::{ELFCLASS64, FileHeader64, SHT_NOBITS, SectionHeader64};
use object::{NativeEndian, pod};

use crate::report::Language;

type Header = FileHeader64<NativeEndian>;
type Section = SectionHeader64<NativeEndian>;

/// Sections that are looked at. Executables have some forty.
const SECTIONS_MAX: u16 = 512;

/// Bytes of the names of sections.
const NAMES_BYTES_MAX: u64 = 16 * 1024;

/// Bytes of `.comment`: a line a compiler that took part.
const COMMENT_BYTES_MAX: u64 = 16 * 1024;

/// Bytes of `.rodata` that are searched. The texts of the standard library stand at its beginning, or
/// near to it.
const RODATA_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is known of an executable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections {
    /// Names of its sections.
    pub names: Vec<String>,
    /// Whether a compiler of Rust, or Rust's standard library, has left its mark.
    pub has_rust: bool,
}

impl Sections {
    /// Looks into an executable. `None` where it is no 64-bit ELF file of this machine's byte order,
    /// or a broken one.
    #[must_use]
    pub fn read(file: &File) -> Option<Self> {
        let bytes = at(file, 0, size_of::<Header>() as u64)?;
        let (header, _) = pod::from_bytes::<Header>(&bytes).ok()?;
        let ident = &header.e_ident;
        if ident.magic != *b"\x7fELF" || ident.class != ELFCLASS64 {
            return None;
        }
        let endian = NativeEndian;
        let count = header.e_shnum.get(endian).min(SECTIONS_MAX);
        let size = u64::from(count) * size_of::<Section>() as u64;
        let bytes = at(file, header.e_shoff.get(endian), size)?;
        let (sections, _) = pod::slice_from_bytes::<Section>(&bytes, usize::from(count)).ok()?;
        let of_names = sections.get(usize::from(header.e_shstrndx.get(endian)))?;
        let names = start(file, of_names, NAMES_BYTES_MAX)?;
        let name = |section: &Section| {
            let from = usize::try_from(section.sh_name.get(endian)).ok()?;
            let text = names.get(from..)?.split(|byte| *byte == 0).next()?;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        let names: Vec<String> = sections.iter().filter_map(name).collect();
        // A search of some megabytes: not where the language is known without it.
        let known = Self {
            names,
            has_rust: false,
        };
        if known.language().is_some() {
            return Some(known);
        }
        let holds = |called: &str, words: &str, bytes_max: u64| {
            let mut those = sections
                .iter()
                .filter(|section| name(section).is_some_and(|name| name == called));
            those.any(|section| {
                let bytes = start(file, section, bytes_max).unwrap_or_default();
                memmem::find(&bytes, words.as_bytes()).is_some()
            })
        };
        let has_rust = holds(".comment", "rustc version", COMMENT_BYTES_MAX)
            // Distributions take `.comment` away. What stays are paths of the standard library's files,
            // in the texts of its panics; what stands before them differs from builder to builder.
            || holds(".rodata", "library/std/src/", RODATA_BYTES_MAX);
        Some(Self { has_rust, ..known })
    }

    /// The language of its compiler.
    pub(super) fn language(&self) -> Option<Language> {
        let has = |name: &str| self.names.iter().any(|known| known == name);
        if has(".go.buildinfo") || has(".note.go.buildid") || has(".gopclntab") {
            Some(Language::Go)
        } else if has("__managedcode") || has(".dotnet_eh_table") {
            // Compiled ahead of time.
            Some(Language::DotNet)
        } else if self.has_rust || has(".rustc") {
            Some(Language::Rust)
        } else {
            None
        }
    }
}

/// The first bytes of a section.
fn start(file: &File, section: &Section, bytes_max: u64) -> Option<Vec<u8>> {
    if section.sh_type.get(NativeEndian) == SHT_NOBITS {
        return None;
    }
    let size = section.sh_size.get(NativeEndian).min(bytes_max);
    at(file, section.sh_offset.get(NativeEndian), size)
}

/// `size` bytes at a place of the file, which has to hold them. The file is asked for its length
/// before memory is taken for them.
fn at(file: &File, offset: u64, size: u64) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    if offset.checked_add(size)? > length {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

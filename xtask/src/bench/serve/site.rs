//! The files that are served.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Folders with pages; gone when this is dropped.
#[derive(Debug)]
pub(in crate::bench) struct Site {
    folder: TempDir,
    root: PathBuf,
}

impl Site {
    pub(in crate::bench) fn create() -> Result<Self> {
        let folder = TempDir::with_prefix("uncork-site").context("no temporary folder")?;
        let root = folder.path().join("root");
        make(&root)?;
        Ok(Self { folder, root })
    }

    /// The root of the site with one page of each length.
    pub(in crate::bench) fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a page of that length into the root, unless it is there; its path in the URL.
    pub(in crate::bench) fn page(&self, body_bytes: usize) -> Result<String> {
        let name = format!("{body_bytes}.html");
        let path = self.root.join(&name);
        if !path.exists() {
            write(&path, &text(body_bytes))?;
        }
        Ok(format!("/{name}"))
    }

    /// Folders of so many hosts, each with an `index.html` of that length; the folder above
    /// them.
    pub(in crate::bench) fn hosts(&self, count: usize, body_bytes: usize) -> Result<PathBuf> {
        let folder = self.folder.path().join("hosts");
        let text = text(body_bytes);
        for nth in 0..count {
            let folder = folder.join(host(nth));
            make(&folder)?;
            write(&folder.join("index.html"), &text)?;
        }
        Ok(folder)
    }

    /// As many pages of that length in one folder, which is returned.
    pub(in crate::bench) fn pages(&self, count: usize, body_bytes: usize) -> Result<PathBuf> {
        let folder = self.folder.path().join("pages");
        make(&folder)?;
        let text = text(body_bytes);
        for nth in 0..count {
            write(&folder.join(&page_path(nth)[1..]), &text)?;
        }
        Ok(folder)
    }
}

/// The name of a host, which is that of its folder too.
pub(in crate::bench) fn host(nth: usize) -> String {
    format!("h{nth:05}.example")
}

/// The path of a page among many, in its URL.
pub(in crate::bench) fn page_path(nth: usize) -> String {
    format!("/p{nth:05}.html")
}

fn text(bytes: usize) -> Vec<u8> {
    let line = b"<p>What is asked for again and again.</p>\n";
    line.iter().copied().cycle().take(bytes).collect()
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_where_their_urls_say() {
        let site = Site::create().unwrap();
        let bytes = |path: &Path| fs::read(path).unwrap().len();
        let page = site.page(100).unwrap();
        assert_eq!(bytes(&site.root().join(&page[1..])), 100);
        let hosts = site.hosts(3, 50).unwrap();
        assert_eq!(bytes(&hosts.join(host(2)).join("index.html")), 50);
        let pages = site.pages(3, 50).unwrap();
        assert_eq!(bytes(&pages.join(&page_path(2)[1..])), 50);
    }
}

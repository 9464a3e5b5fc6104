//! Where things are in the repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The repository that contains this crate.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    libraries: Vec<String>,
}

impl Workspace {
    /// Finds the root and reads which crates are published.
    pub(crate) fn open() -> io::Result<Self> {
        let own = std::env::var("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&own).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned();
        let mut libraries = Vec::new();
        for dir in directories(&root.join("crates"))? {
            let manifest = fs::read_to_string(dir.join("Cargo.toml"))?;
            if !manifest.lines().any(|line| line.trim() == "publish = false") {
                libraries.extend(package_name(&manifest));
            }
        }
        Ok(Self { root, libraries })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The names of the published crates, sorted.
    pub(crate) fn libraries(&self) -> &[String] {
        &self.libraries
    }

    /// The integration tests with this word in their file name: package and test, sorted.
    pub(crate) fn integration_tests(&self, word: &str) -> io::Result<Vec<(String, String)>> {
        let mut dirs = directories(&self.root.join("crates"))?;
        dirs.push(self.root.join("tests"));
        let mut found = Vec::new();
        for dir in dirs {
            let manifest = fs::read_to_string(dir.join("Cargo.toml"))?;
            let Some(package) = package_name(&manifest) else { continue };
            let mut tests = rust_files(&dir.join("tests"));
            tests.retain(|test| test.contains(word));
            found.extend(tests.into_iter().map(|test| (package.clone(), test)));
        }
        Ok(found)
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |dir| self.root.join(dir))
    }
}

/// The sorted directories in `parent` that hold a manifest.
fn directories(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent)?.collect::<io::Result<Vec<_>>>()?;
    let mut dirs: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    dirs.retain(|dir| dir.join("Cargo.toml").is_file());
    dirs.sort();
    Ok(dirs)
}

/// The sorted names, without extension, of the Rust files in a directory that may be missing.
fn rust_files(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

/// The value of the first `name` in a manifest.
fn package_name(manifest: &str) -> Option<String> {
    let value = manifest.lines().find_map(|line| line.strip_prefix("name = "))?;
    Some(value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_the_crates_that_are_published() {
        let workspace = Workspace::open().expect("the tests run inside the repository");
        assert!(workspace.libraries().contains(&"breaker-core".to_owned()));
        assert!(!workspace.libraries().contains(&"xtask".to_owned()));
    }

    #[test]
    fn an_integration_test_is_found_by_a_word_of_its_name() {
        let workspace = Workspace::open().expect("the tests run inside the repository");
        let found = workspace.integration_tests("budg").expect("the members are readable");
        assert_eq!(found, [("portcullis-tests".to_owned(), "budget".to_owned())]);
    }

    #[test]
    fn a_package_is_called_what_its_manifest_says() {
        let manifest = "[package]\nname = \"breaker-core\"\nversion = \"1.0.0\"\n";
        assert_eq!(package_name(manifest).as_deref(), Some("breaker-core"));
        assert_eq!(package_name("[workspace]\n"), None);
    }
}

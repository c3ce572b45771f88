//! The file of identities: names with roles, site, password hash and whether they are revoked.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use telemetry_core::id::SiteId;
use uuid::Uuid;

use super::identity::check_name;
use super::password::{self, PasswordError};

const HEADER: &str =
    "# Written by `tidemark identity`; changes by hand are kept, comments are not.\n\n";
/// Most identities of a file.
const IDENTITIES_MAX: usize = 200_000;

/// What is known of one identity.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Random, made with the entry: an identity that is deleted and made again is another one, and has nothing of the first. One
    /// that was written by hand has none, and is known by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it is to the policy: `device`, `agent`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Where it is, for `{site}` in rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// argon2id hash of its password; without one it proves itself by certificate or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Refused, however it proves itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

// Hashes stay out of logs.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("roles", &self.roles)
            .field("site", &self.site)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

/// The identities of a file, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identities {
    #[serde(default)]
    identities: BTreeMap<String, Entry>,
}

/// Why a file of identities was refused, or a change to it.
#[derive(Debug, thiserror::Error)]
pub enum IdentitiesError {
    /// The file cannot be read or written.
    #[error("cannot {action} the identities {}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML, or has a key that does not exist.
    #[error("the identities {} are not valid: {problem}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong; no values of the file.
        problem: String,
    },
    /// A name, role or site that cannot be used.
    #[error("identity `{name}`: {problem}")]
    Entry {
        /// Whose entry.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A password that cannot be used.
    #[error("identity `{name}`")]
    Password {
        /// Whose password.
        name: String,
        /// Why.
        source: PasswordError,
    },
    /// Nobody of that name.
    #[error("there is no identity `{0}`")]
    Unknown(String),
    /// More than the limit.
    #[error(
        "more than {IDENTITIES_MAX} identities: use certificates or tokens, which need no entry"
    )]
    TooMany,
}

impl Identities {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or an entry cannot be used.
    pub fn load(path: &Path) -> Result<Self, IdentitiesError> {
        let disk = |source| IdentitiesError::Disk { action: "read", path: path.to_owned(), source };
        Self::parse(&fs::read_to_string(path).map_err(disk)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, IdentitiesError> {
        let identities: Self = toml::from_str(text).map_err(|error| IdentitiesError::Syntax {
            path: path.to_owned(),
            // The whole error would quote the line, and with it a hash.
            problem: error.message().to_owned(),
        })?;
        if identities.identities.len() > IDENTITIES_MAX {
            return Err(IdentitiesError::TooMany);
        }
        identities.iter().try_for_each(|(name, entry)| entry.check(name))?;
        Ok(identities)
    }

    /// Returns the entry of a name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.identities.get(name)
    }

    /// Goes through all entries by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.identities.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Adds an entry to a file, or replaces it; the file is made if missing. True when the name is new. Its id is given here: an
    /// entry that is replaced keeps its own, unless it was revoked.
    ///
    /// # Errors
    /// When the entry cannot be used or the file not be written.
    pub fn add(path: &Path, name: &str, mut entry: Entry) -> Result<bool, IdentitiesError> {
        entry.check(name)?;
        change(path, |identities| {
            entry.id = match identities.get(name) {
                Some(known) if !known.revoked => known.id.clone(),
                _ => Some(Uuid::new_v4().simple().to_string()),
            };
            Ok(identities.identities.insert(name.to_owned(), entry).is_none())
        })
    }

    /// Removes an entry. True when there was one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn remove(path: &Path, name: &str) -> Result<bool, IdentitiesError> {
        change(path, |identities| Ok(identities.identities.remove(name).is_some()))
    }

    /// Marks an entry as revoked. True when it was not yet.
    ///
    /// # Errors
    /// When there is none, or the file cannot be written.
    pub fn revoke(path: &Path, name: &str) -> Result<bool, IdentitiesError> {
        change(path, |identities| {
            let entry = identities.identities.get_mut(name);
            let entry = entry.ok_or_else(|| IdentitiesError::Unknown(name.to_owned()))?;
            Ok(!std::mem::replace(&mut entry.revoked, true))
        })
    }
}

impl Entry {
    fn check(&self, name: &str) -> Result<(), IdentitiesError> {
        let refuse = |problem| Err(IdentitiesError::Entry { name: name.to_owned(), problem });
        if let Err(problem) = check_name(name) {
            return refuse(problem);
        }
        if self.id.as_deref().is_some_and(|id| SiteId::check(id).is_err()) {
            return refuse("id: leave it out, or give it letters and digits".to_owned());
        }
        if let Some(Err(error)) = self.site.as_deref().map(SiteId::check) {
            return refuse(format!("site: {error}"));
        }
        if let Some(role) = self.roles.iter().find(|role| SiteId::check(role).is_err()) {
            return refuse(format!("role `{role}`: use letters, digits, `.`, `_` and `-`"));
        }
        if let Some(Err(source)) = self.password.as_deref().map(password::check_hash) {
            return Err(IdentitiesError::Password { name: name.to_owned(), source });
        }
        Ok(())
    }
}

/// Changes a file under a lock, whole or not at all: a gateway that reads it meanwhile sees the old or the new one.
fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut Identities) -> Result<T, IdentitiesError>,
) -> Result<T, IdentitiesError> {
    let disk = |action| {
        let path = path.to_owned();
        move |source| IdentitiesError::Disk { action, path, source }
    };
    let lock = private(&beside(path, ".lock")).map_err(disk("lock"))?;
    lock.lock().map_err(disk("lock"))?;
    let mut identities = match path.exists() {
        true => Identities::load(path)?,
        false => Identities::default(),
    };
    let done = change(&mut identities)?;
    let text = toml::to_string(&identities).map_err(|error| IdentitiesError::Syntax {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    let new = beside(path, ".new");
    let written = private(&new).and_then(|mut file| {
        file.set_len(0)?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    written.map_err(disk("write"))?;
    Ok(done)
}

/// Opens a file that only its owner may read.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entry(site: &str) -> Entry {
        Entry { roles: vec!["device".into()], site: Some(site.into()), ..Entry::default() }
    }

    #[test]
    fn identities_are_added_replaced_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identities.toml");
        assert!(Identities::add(&path, "mon-1", entry("icu")).unwrap());
        assert!(Identities::add(&path, "00:1b:44", entry("icu")).unwrap());
        assert!(!Identities::add(&path, "mon-1", entry("hall")).unwrap());
        assert!(Identities::revoke(&path, "mon-1").unwrap());
        assert!(!Identities::revoke(&path, "mon-1").unwrap());
        assert!(matches!(Identities::revoke(&path, "x"), Err(IdentitiesError::Unknown(_))));
        let read = Identities::load(&path).unwrap();
        assert_eq!(read.iter().count(), 2);
        let mon = read.get("mon-1").unwrap().clone();
        assert_eq!(mon, Entry { revoked: true, id: mon.id.clone(), ..entry("hall") });
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_identity_that_is_made_again_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identities.toml");
        let id = || Identities::load(&path).unwrap().get("mon-1").unwrap().id.clone();
        let add = || Identities::add(&path, "mon-1", entry("icu")).unwrap();
        add();
        let first = id();
        assert!(first.is_some());
        add();
        assert_eq!(id(), first, "a change of it");
        Identities::revoke(&path, "mon-1").unwrap();
        assert_eq!(id(), first);
        add();
        let second = id();
        assert_ne!(second, first);
        assert!(Identities::remove(&path, "mon-1").unwrap());
        assert!(!Identities::remove(&path, "mon-1").unwrap());
        add();
        assert_ne!(id(), second);
        fs::write(&path, "[identities.mon-1]\nroles = [\"device\"]\n").unwrap();
        add();
        assert_eq!(id(), None, "known by its name, as before");
    }

    #[test]
    fn entries_that_cannot_be_used_are_refused() {
        let path = Path::new("identities.toml");
        let problem = |text: &str| Identities::parse(text, path).unwrap_err().to_string();
        assert!(problem("[identities.\"a/b\"]").contains("a/b"));
        assert!(problem("[identities.a]\nsite = \"+\"").contains("site"));
        assert!(problem("[identities.a]\nroles = [\"de vice\"]").contains("de vice"));
        assert!(problem("[identities.a]\nrole = \"device\"").contains("not valid"));
        let shown = problem("[identities.a]\npassword = \"hunter2hunter2\"");
        assert!(shown.contains("`a`") && !shown.contains("hunter2"), "{shown}");
        let shown = problem("[identities.a]\npassword = \"hunter2hunter2\" x");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

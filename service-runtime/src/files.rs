//! Files and folders that hold what is nobody else's business: readable by their owner alone from their first byte on.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tracing::warn;

/// Who may read what a process writes. The process's umask can only take away from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readers {
    /// The user that the process runs as: files 0600, folders 0700.
    #[default]
    Owner,
    /// Also its group: files 0640, folders 0750.
    Group,
}

impl Readers {
    /// Returns for whom a folder was made: its group too when its mode is 0750 exactly, else only its owner.
    pub fn of(folder: &Path) -> Self {
        let mode = std::fs::metadata(folder).map(|found| found.permissions().mode() & 0o777);
        if mode.is_ok_and(|mode| mode == Self::Group.folder_mode()) {
            Self::Group
        } else {
            Self::Owner
        }
    }

    fn file_mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
        }
    }

    fn folder_mode(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o750,
        }
    }

    /// Returns options that make a file with the right mode; say what else to do with it.
    pub fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.mode(self.file_mode());
        options
    }

    /// Makes a folder in one that exists.
    ///
    /// # Errors
    /// As [`std::fs::create_dir`].
    pub fn make_folder(self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(self.folder_mode()).create(path)
    }

    /// Makes a folder with those above it that are missing; one that is there is fine and stays as it is.
    ///
    /// # Errors
    /// As [`std::fs::create_dir_all`].
    pub fn make_folders(self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(self.folder_mode()).create(path)
    }

    /// Warns when a file or folder that is there already may be read by more: it was made by an older version, or by somebody else.
    /// `what` it is, for the log.
    pub fn warn_about(self, what: &'static str, path: &Path) {
        let Some((mode, most)) = self.excess(path) else { return };
        warn!(
            path = %path.display(), mode = format!("{mode:04o}"), most = format!("{most:04o}"),
            "the {what} can be read by others: chmod -R {} it", self.remedy()
        );
    }

    /// Returns mode and allowed mode of what more may read than should.
    fn excess(self, path: &Path) -> Option<(u32, u32)> {
        let found = std::fs::metadata(path).ok()?;
        let mode = found.permissions().mode() & 0o777;
        let most = if found.is_dir() { self.folder_mode() } else { self.file_mode() };
        (mode & !most & 0o077 != 0).then_some((mode, most))
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Owner => "go-rwx",
            Self::Group => "g-w,o-rwx",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_and_folders_are_made_for_their_readers() {
        let folder = tempfile::tempdir().unwrap();
        for (readers, of_file, of_folder) in
            [(Readers::Owner, 0o600, 0o700), (Readers::Group, 0o640, 0o750)]
        {
            let top = folder.path().join(format!("{readers:?}"));
            let (inner, file) = (top.join("a/b"), top.join("a/b/file"));
            readers.make_folders(&inner).unwrap();
            readers.make_folders(&inner).unwrap();
            readers.make_folder(&inner.join("c")).unwrap();
            readers.options().create_new(true).write(true).open(&file).unwrap();
            assert_eq!(Readers::of(&top), readers);
            for made in [&top, &top.join("a"), &inner, &inner.join("c")] {
                assert_eq!(mode(made), of_folder, "{}", made.display());
            }
            assert_eq!(mode(&file), of_file);
        }
    }

    #[test]
    fn what_more_may_read_than_should_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        for (given, owner, group) in [
            (0o600, false, false),
            (0o400, false, false),
            (0o700, false, false),
            (0o640, true, false),
            (0o660, true, true),
            (0o644, true, true),
            (0o604, true, true),
        ] {
            fs::set_permissions(&file, Permissions::from_mode(given)).unwrap();
            assert_eq!(Readers::Owner.excess(&file).is_some(), owner, "{given:o}");
            assert_eq!(Readers::Group.excess(&file).is_some(), group, "{given:o}");
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        assert_eq!(Readers::Owner.excess(folder.path()), Some((0o750, 0o700)));
        assert_eq!(Readers::Group.excess(folder.path()), None);
        assert_eq!(Readers::Owner.excess(&folder.path().join("none")), None);
    }
}

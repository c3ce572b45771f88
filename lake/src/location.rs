//! Where a lake is: a local folder or a prefix in an S3 bucket.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use url::Url;

use crate::error::LakeError;

/// A parsed lake URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An absolute folder.
    Folder(PathBuf),
    /// `s3://bucket/prefix`; the prefix may be empty and has no slash at either end.
    Bucket {
        /// Bucket name.
        bucket: String,
        /// Key prefix of the lake.
        prefix: String,
    },
}

impl Location {
    /// The URL of the lake's folder, ending in `/`.
    #[must_use]
    pub fn url(&self) -> Url {
        match self {
            Self::Folder(path) => {
                Url::from_directory_path(path).expect("the folder was made absolute")
            }
            Self::Bucket { bucket, prefix } => {
                let mut url =
                    Url::parse(&format!("s3://{bucket}/")).expect("the bucket came from a url");
                if !prefix.is_empty() {
                    url.set_path(&format!("/{prefix}/"));
                }
                url
            }
        }
    }
}

impl FromStr for Location {
    type Err = LakeError;

    /// A folder (relative to the working directory if it is not absolute), `file:///folder`, or `s3://bucket/prefix`.
    fn from_str(text: &str) -> Result<Self, LakeError> {
        let refuse =
            |reason: &str| LakeError::Location { url: text.to_owned(), reason: reason.to_owned() };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if !text.contains("://") {
            return Ok(Self::Folder(
                absolute(Path::new(text)).map_err(|error| refuse(&error.to_string()))?,
            ));
        }
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        match url.scheme() {
            "file" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| refuse("a file url needs an absolute path and no host"))?;
                Ok(Self::Folder(path))
            }
            "s3" => {
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(refuse(
                        "credentials belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                    ));
                }
                let bucket = url
                    .host_str()
                    .filter(|host| !host.is_empty())
                    .ok_or_else(|| refuse("no bucket"))?;
                Ok(Self::Bucket {
                    bucket: bucket.to_owned(),
                    prefix: url.path().trim_matches('/').to_owned(),
                })
            }
            scheme => Err(refuse(&format!("`{scheme}` is not a scheme it knows"))),
        }
    }
}

/// `path` made absolute and free of `.` and `..`, without asking the file system: the folder need not exist yet.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let mut folder = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                folder.pop();
            }
            part => folder.push(part),
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_files_and_buckets_are_told_apart() {
        assert_eq!(
            "/data/lake".parse::<Location>().unwrap(),
            Location::Folder("/data/lake".into())
        );
        assert_eq!(
            "/data/./x/../lake/".parse::<Location>().unwrap(),
            Location::Folder("/data/lake".into())
        );
        assert_eq!(
            "file:///data/lake".parse::<Location>().unwrap(),
            Location::Folder("/data/lake".into())
        );
        let bucket = Location::Bucket { bucket: "b".into(), prefix: "a/b".into() };
        assert_eq!("s3://b/a/b/".parse::<Location>().unwrap(), bucket);
        assert_eq!(bucket.url().as_str(), "s3://b/a/b/");
        assert_eq!("s3://b".parse::<Location>().unwrap().url().as_str(), "s3://b/");
    }

    #[test]
    fn a_relative_folder_is_below_the_working_directory() {
        let Location::Folder(path) = "./tidemark-data".parse().unwrap() else { panic!("a folder") };
        assert_eq!(path, std::env::current_dir().unwrap().join("tidemark-data"));
    }

    #[test]
    fn what_is_no_lake_is_refused_with_the_remedy() {
        for bad in ["", "http://x/y", "s3:///x", "s3://key:secret@b/x", "file://host/x"] {
            let error = bad.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains("s3://bucket/prefix"), "{bad}: {error}");
        }
    }
}

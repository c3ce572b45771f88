//! Loads a section of a TOML file, with environment overrides, refusing keys that nobody reads.
//!
//! All services read one file; each takes its own section. `TIDEMARK_GATEWAY__LISTEN=0.0.0.0:1883` overrides `listen` in
//! `[gateway]`: the section and each key below it are separated by two underscores. A value that is valid TOML is taken
//! as such, anything else as text.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::clock::ClockConfig;

/// Every section that a file may have.
pub const SECTIONS: [&str; 12] = [
    "agent",
    "alerts",
    "api",
    "clock",
    "gateway",
    "ingest",
    "lake",
    "log",
    "maintain",
    "simulator",
    "tables",
    "traces",
];
const PREFIX: &str = "TIDEMARK_";

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {}", path.display(), problem)]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        problem: String,
    },
    /// A section that no service reads.
    #[error("unknown section [{section}]: the sections are {}", SECTIONS.join(", "))]
    Section {
        /// The section.
        section: String,
    },
    /// A key that does not exist, or a value that does not fit.
    #[error("[{section}]: {problem}")]
    Value {
        /// The section.
        section: String,
        /// What is wrong.
        problem: String,
    },
}

/// A configuration file merged with the environment.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    root: Table,
}

impl ConfigFile {
    /// Reads a file (or none: then all defaults hold) and applies the environment. What they say about the process's clock
    /// holds from here on.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, or names an unknown section.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        let shown = path.unwrap_or(Path::new("configuration"));
        let file = Self::parse(&text, shown, std::env::vars())?;
        file.section::<ClockConfig>("clock")?.apply();
        Ok(file)
    }

    /// Parses a file's text and applies the given environment.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(
        text: &str,
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut root: Table = text.parse().map_err(|error: toml::de::Error| {
            ConfigError::Syntax { path: path.to_owned(), problem: error.to_string() }
        })?;
        for (name, value) in environment {
            if let Some(keys) = name.strip_prefix(PREFIX) {
                let keys: Vec<String> = keys.split("__").map(str::to_ascii_lowercase).collect();
                if keys.len() > 1 {
                    set(&mut root, &keys, &value);
                }
            }
        }
        for value in root.iter_mut().map(|(_, value)| value) {
            at_home(value);
        }
        match root.keys().find(|section| !SECTIONS.contains(&section.as_str())) {
            Some(section) => Err(ConfigError::Section { section: section.clone() }),
            None => Ok(Self { root }),
        }
    }

    /// Returns one section; absent keys take their defaults.
    ///
    /// # Errors
    /// When a key does not exist or a value does not fit.
    pub fn section<T: DeserializeOwned>(&self, section: &str) -> Result<T, ConfigError> {
        let table = self.root.get(section).cloned().unwrap_or_else(|| Value::Table(Table::new()));
        table.try_into().map_err(|error: toml::de::Error| ConfigError::Value {
            section: section.to_owned(),
            problem: error.to_string().trim_end().replace('\n', " "),
        })
    }
}

/// A path that begins with `~/`, in the home folder; anything else as it is. Nobody but a shell knows `~`, and a service would make
/// a folder of that name.
pub fn expand_home(text: &str) -> String {
    let home = std::env::var_os("HOME").and_then(|home| home.into_string().ok());
    match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => home + rest,
        _ => text.to_owned(),
    }
}

fn at_home(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with('~') => *text = expand_home(text),
        Value::Array(values) => values.iter_mut().for_each(at_home),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| at_home(value)),
        _ => {}
    }
}

fn set(table: &mut Table, keys: &[String], text: &str) {
    match keys {
        [] => {}
        [key] => {
            let parsed =
                format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
            table.insert(key.clone(), parsed.unwrap_or_else(|| Value::String(text.to_owned())));
        }
        [key, rest @ ..] => {
            let entry = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = entry {
                set(inner, rest, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        listen: String,
        limit: u32,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { listen: "127.0.0.1:1883".into(), limit: 5 }
        }
    }

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Sample, String> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        ConfigFile::parse(text, Path::new("x.toml"), environment)
            .and_then(|file| file.section("gateway"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_file_and_environment_in_that_order() {
        assert_eq!(load("", &[]), Ok(Sample::default()));
        let file = "[gateway]\nlimit = 7\n[ingest]\nanything = 1\n";
        let environment = [
            ("TIDEMARK_GATEWAY__LISTEN", "0.0.0.0:1"),
            ("TIDEMARK_GATEWAY__LIMIT", "9"),
            ("PATH", "/bin"),
        ];
        assert_eq!(load(file, &environment), Ok(Sample { listen: "0.0.0.0:1".into(), limit: 9 }));
    }

    #[test]
    fn unknown_keys_and_sections_are_refused_by_name() {
        assert!(load("[gateway]\nlisen = 1\n", &[]).unwrap_err().contains("lisen"));
        assert_eq!(
            load("[gatway]\n", &[]).unwrap_err(),
            "unknown section [gatway]: the sections are agent, alerts, api, clock, gateway, ingest, lake, log, maintain, simulator, tables, traces"
        );
        assert!(load("[gateway\n", &[]).unwrap_err().starts_with("x.toml is not valid TOML"));
    }

    #[test]
    fn a_path_below_the_home_folder_is_found_there() {
        let home = std::env::vars().find(|(name, _)| name == "HOME").unwrap().1;
        let text = "[lake]\nurl = \"~/lake\"\nfiles = [\"~\", \"~x\", \"/a/~/b\"]";
        let file = ConfigFile::parse(text, Path::new("x"), []).unwrap();
        let lake: Table = file.section("lake").unwrap();
        assert_eq!(lake["url"].as_str(), Some(format!("{home}/lake").as_str()));
        let files: Vec<_> =
            lake["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        assert_eq!(files, [home.as_str(), "~x", "/a/~/b"]);
    }
}

//! Publishes a folder of FHIR resources: one message a file (`*.json`), or a line (`*.ndjson`).
//!
//! The content is not the simulator's own, so what it must become is left open: rows, or a dead letter. The identity of
//! its resources is read from the JSON, to tell the message among the rows.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value as Json;

use super::PlanError;
use super::fhir_keys::{Name, names};
use crate::fingerprint::{Fingerprint, MessageKey, payload_key, resource_key};
use crate::message::{DeviceName, Expectation, Message, Outcome, Planned, Run, StreamKind};

/// The system that the files come from.
const SYSTEM: &str = "ehr-files";

/// The files of a folder, in the order of their names.
#[derive(Debug)]
pub struct FhirFiles {
    /// Not read yet, the next one last.
    paths: Vec<PathBuf>,
    /// The file of lines that is being read, and how many were.
    lines: Option<(PathBuf, BufReader<File>, u64)>,
    device: DeviceName,
    number: u32,
    run: Run,
    seq: i64,
}

impl FhirFiles {
    /// Lists `*.json` and `*.ndjson` in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be read or has none.
    pub fn open(folder: &Path, site: &str, run: Run, number: u32) -> Result<Self, PlanError> {
        let read = |source| PlanError::Read { path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if is_one(&path, "json") || is_one(&path, "ndjson") {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(PlanError::NoFhir { path: folder.to_owned() });
        }
        paths.sort_unstable_by(|a, b| b.cmp(a));
        let lines = None;
        Ok(Self { paths, lines, device: DeviceName::new(site, SYSTEM), number, run, seq: 0 })
    }

    /// The sending system.
    #[must_use]
    pub fn device(&self) -> &DeviceName {
        &self.device
    }

    /// The next line of the file that is being read.
    fn line(&mut self) -> Option<Result<Message, PlanError>> {
        let (path, lines, number) = self.lines.as_mut()?;
        let mut line = Vec::new();
        loop {
            *number += 1;
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => {
                    self.lines = None;
                    return None;
                }
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => break,
                Err(source) => return Some(Err(PlanError::Read { path: path.clone(), source })),
            }
        }
        let name = path.file_name().map(|name| format!("{}:{number}", name.to_string_lossy()));
        let payload = without_mark(line.trim_ascii()).to_vec();
        Some(Ok(self.message(name, payload)))
    }

    fn message(&mut self, file: Option<String>, payload: Vec<u8>) -> Message {
        self.seq += 1;
        let topic = self.device.topic(StreamKind::Fhir.as_str());
        let key = self.key(&payload).unwrap_or_else(|| payload_key(&topic, &payload));
        let expect =
            Expectation { outcome: Outcome::Any, rows: 1, fingerprint: Fingerprint::default() };
        Message {
            device: self.number,
            stream: StreamKind::Fhir,
            topic,
            payload: Bytes::from(payload),
            boot: self.run.boot,
            seq: self.seq,
            key,
            expect,
            file: file.map(Into::into),
        }
    }

    /// The sum of the resources' keys; none if this is no FHIR.
    fn key(&self, payload: &[u8]) -> Option<MessageKey> {
        let json: Json = serde_json::from_slice(payload).ok()?;
        let one = |[kind, id, version]: &Name| {
            resource_key(&self.device.site, &self.device.device_id, kind, id, version)
        };
        names(&json)?.iter().map(one).reduce(MessageKey::and)
    }
}

impl Iterator for FhirFiles {
    type Item = Result<Planned, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(line) = self.line() {
            return Some(line.map(|message| Planned { due_us: 0, message }));
        }
        let path = self.paths.pop()?;
        if is_one(&path, "ndjson") {
            return match File::open(&path) {
                Ok(file) => {
                    self.lines = Some((path, BufReader::new(file), 0));
                    self.next()
                }
                Err(source) => Some(Err(PlanError::Read { path, source })),
            };
        }
        // However long: what is too much for the gateway is for the gateway to say.
        let payload = match std::fs::read(&path) {
            Ok(payload) => payload,
            Err(source) => return Some(Err(PlanError::Read { path, source })),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let payload = without_mark(&payload).to_vec();
        Some(Ok(Planned { due_us: 0, message: self.message(name, payload) }))
    }
}

fn is_one(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|extension| extension == kind)
}

/// Some editors put a mark of the byte order before UTF-8.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_a_message_known_by_its_resources() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.json", r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"2"}}"#);
        write(
            "b.json",
            r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"p","meta":{"versionId":"2"}}},{"resource":{"resourceType":"Patient","id":"q"}}]}"#,
        );
        write("c.json", "{ not json");
        write(
            "d.ndjson",
            "\u{feff}{\"resourceType\":\"Patient\",\"id\":\"r\"}\r\n\n{\"resourceType\":\"Patient\",\"id\":\"s\"}",
        );
        write("e.txt", "ignored");
        let files = FhirFiles::open(folder.path(), "s", Run::of_boot(4), 9).unwrap();
        let messages: Vec<_> = files.map(|planned| planned.unwrap().message).collect();
        let p = resource_key("s", "ehr-files", "Patient", "p", "2");
        let q = resource_key("s", "ehr-files", "Patient", "q", "");
        let keys: Vec<_> = messages.iter().map(|m| m.key).collect();
        let [r, s] = ["r", "s"].map(|id| resource_key("s", "ehr-files", "Patient", id, ""));
        let broken = payload_key("dt/s/ehr-files/fhir", b"{ not json");
        assert_eq!(keys, [p, p.and(q), broken, r, s]);
        assert_eq!(messages[4].file.as_deref(), Some("d.ndjson:3"));
        assert!(
            messages
                .iter()
                .all(|m| m.expect.outcome == Outcome::Any && m.boot == 4 && m.device == 9)
        );
        assert_eq!(messages.iter().map(|m| m.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn an_empty_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            FhirFiles::open(folder.path(), "s", Run::of_boot(1), 0),
            Err(PlanError::NoFhir { .. })
        ));
    }
}

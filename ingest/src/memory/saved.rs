//! How the memory is saved: JSON in zstd. Devices have no names in it, only the hashes of their names.

use serde::{Deserialize, Serialize};

use super::{DEVICES_MAX, Device, MESSAGES, Memory};

/// The version that this code writes and reads; of another one nothing is remembered.
const VERSION: u32 = 1;
/// A saved memory is never longer than this, unpacked.
const BYTES_MAX: usize = 32 << 20;
/// zstd's fastest.
const LEVEL: i32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    /// By the hash of its name.
    devices: Vec<(u64, Device)>,
    /// Resources, by the hash of what each is, with the hash of what was said of it last; the oldest first.
    #[serde(default)]
    resources: Vec<(u64, u64)>,
}

impl Memory {
    /// Its bytes.
    ///
    /// # Errors
    /// None that could be expected: it is plain data.
    pub(crate) fn save(&self) -> std::io::Result<Vec<u8>> {
        let (devices, resources) = (self.devices.clone(), self.resources.saved());
        let saved = Saved { version: VERSION, devices, resources };
        zstd::bulk::compress(&serde_json::to_vec(&saved)?, LEVEL)
    }

    /// Takes what was saved, also by other workers: of a device that is known already what was heard last.
    ///
    /// # Errors
    /// What can't be read.
    pub(crate) fn recall(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let text = zstd::bulk::decompress(bytes, BYTES_MAX)?;
        let saved: Saved = serde_json::from_slice(&text)?;
        if saved.version != VERSION {
            return Ok(());
        }
        for (key, mut device) in saved.devices.into_iter().take(DEVICES_MAX) {
            device.messages.truncate(MESSAGES);
            device.next %= MESSAGES;
            match self.places.get(&key).and_then(|place| self.devices.get_mut(*place as usize)) {
                Some((_, known)) if known.heard_us >= device.heard_us => {}
                Some((_, known)) => *known = device,
                None => drop(self.add(key, device)),
            }
        }
        self.resources.recall(saved.resources);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::resources::RESOURCES_MAX;
    use super::super::{Heard, Mark, Statement};
    use super::*;

    #[test]
    fn what_is_saved_is_remembered_and_the_newer_of_two_counts() {
        let mut memory = Memory::default();
        let at = memory.place(("icu", "mon-1"));
        memory.repeats(at, "t", Mark::Numbered { boot: 1, seq: 7 }, 10);
        let heard = Heard { boot: Some(1), seq: Some(7), device_us: 5, received_us: 10 };
        memory.clock(at, &heard);
        let said = Statement { kind: "Patient", id: Some("p1"), ..Statement::default() };
        assert!(!memory.resource("t", &said));
        let mut older = Memory::default();
        older.place(("icu", "mon-1"));
        older.repeats(at, "t", Mark::Numbered { boot: 1, seq: 6 }, 9);
        let mut again = Memory::default();
        for bytes in [memory.save().unwrap(), older.save().unwrap()] {
            again.recall(&bytes).unwrap();
        }
        assert_eq!(again.devices, memory.devices);
        assert!(again.repeats(at, "t", Mark::Numbered { boot: 1, seq: 7 }, 11));
        assert!(again.resource("t", &said));
    }

    #[test]
    fn what_is_no_memory_is_an_error_and_changes_nothing() {
        let mut memory = Memory::default();
        assert!(memory.recall(b"x").is_err());
        assert!(memory.recall(&zstd::bulk::compress(b"{}", 1).unwrap()).is_err());
        let other = br#"{"version":9,"devices":[]}"#;
        assert!(memory.recall(&zstd::bulk::compress(other, 1).unwrap()).is_ok());
        assert!(memory.devices.is_empty());
    }

    /// A full memory is far below what may be read.
    #[test]
    fn golden_size_of_a_device() {
        let mut memory = Memory::default();
        let at = memory.place(("s", "d"));
        for seq in 0..40 {
            memory.repeats(at, "t", Mark::Numbered { boot: 1, seq }, i64::MAX);
        }
        let (devices, resources) = (memory.devices.clone(), vec![(u64::MAX, u64::MAX)]);
        let bytes = |saved: &Saved| serde_json::to_vec(saved).unwrap().len();
        let device = bytes(&Saved { version: VERSION, devices, resources: Vec::new() });
        let resource = bytes(&Saved { version: VERSION, devices: Vec::new(), resources });
        assert!(device * DEVICES_MAX + resource * RESOURCES_MAX < BYTES_MAX, "{device} {resource}");
    }
}

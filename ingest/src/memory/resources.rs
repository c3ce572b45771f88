//! Which resources EHR systems sent lately, as they said them last: of all systems together, since one of them has very many. And
//! messages whose rows may be of very many devices, by what they say.

use std::collections::HashMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::batch::intern::Seeded;

/// Resources that are remembered; beyond, the one that came first is forgotten.
pub(super) const RESOURCES_MAX: usize = 16_384;

/// What a message says of one resource.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Statement<'a> {
    pub(crate) kind: &'a str,
    /// `None`: it is known by its content alone.
    pub(crate) id: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    /// When it was changed, Unix microseconds.
    pub(crate) updated_us: Option<i64>,
    /// Its JSON, and what is asked for with it.
    pub(crate) content: [&'a [u8]; 3],
}

/// See the module. Hashes of what it is, each with the hash of what was said of it last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resources {
    said: HashMap<u64, u64, Seeded>,
    /// In the order in which they came first; the next one goes to `next`.
    order: Vec<u64>,
    next: usize,
}

impl Resources {
    /// Takes what a message on `topic` says of a resource. Returns whether just that was said of it last. A resource that says its
    /// version is another one for each; one that does not may well come back to what it was before.
    pub(super) fn hear(&mut self, topic: &str, statement: &Statement<'_>) -> bool {
        let topic = xxh3_64(topic.as_bytes());
        let content = statement.content.iter().fold(topic, with);
        let what = match statement.id {
            None => content,
            Some(id) => {
                let version = statement.version.unwrap_or("\u{0}");
                let named = [statement.kind, id, version].map(str::as_bytes);
                let named = named.iter().fold(topic, with);
                let updated = statement.updated_us.unwrap_or(i64::MIN);
                xxh3_64_with_seed(&updated.to_le_bytes(), named)
            }
        };
        self.take(what, content)
    }

    fn take(&mut self, what: u64, content: u64) -> bool {
        if let Some(known) = self.said.get_mut(&what) {
            return std::mem::replace(known, content) == content;
        }
        match self.order.get_mut(self.next) {
            Some(oldest) => drop(self.said.remove(&std::mem::replace(oldest, what))),
            None => self.order.push(what),
        }
        self.next = (self.next + 1) % RESOURCES_MAX;
        self.said.insert(what, content);
        false
    }

    /// All of them, the oldest first.
    pub(super) fn saved(&self) -> Vec<(u64, u64)> {
        let (newer, older) = self.order.split_at(self.next.min(self.order.len()));
        let said = |what: &u64| Some((*what, *self.said.get(what)?));
        older.iter().chain(newer).filter_map(said).collect()
    }

    /// Takes what was saved of those that are not known.
    pub(super) fn recall(&mut self, saved: Vec<(u64, u64)>) {
        for (what, content) in saved.into_iter().take(RESOURCES_MAX) {
            if !self.said.contains_key(&what) {
                self.take(what, content);
            }
        }
    }

    /// What they take in memory, at most.
    pub(super) fn memory_bytes(&self) -> usize {
        self.said.capacity() * (size_of::<(u64, u64)>() + 2)
            + self.order.capacity() * size_of::<u64>()
    }
}

fn with(hash: u64, text: &&[u8]) -> u64 {
    xxh3_64_with_seed(text, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient<'a>(version: Option<&'a str>, content: &'a str) -> Statement<'a> {
        let (kind, id) = ("Patient", Some("p1"));
        Statement {
            kind,
            id,
            version,
            updated_us: None,
            content: [content, "", ""].map(str::as_bytes),
        }
    }

    #[test]
    fn a_resource_is_a_repeat_if_just_that_was_said_of_it_last() {
        let mut known = Resources::default();
        let mut hear = |topic, said: Statement<'_>| known.hear(topic, &said);
        assert!(!hear("t", patient(None, "a")));
        assert!(hear("t", patient(None, "a")));
        assert!(!hear("u", patient(None, "a")), "another topic");
        assert!(!hear("t", patient(None, "b")));
        assert!(!hear("t", patient(None, "a")), "it was something else meanwhile");
        assert!(!hear("t", patient(Some("1"), "a")), "a version is one of its own");
        assert!(!hear("t", patient(Some("2"), "b")));
        assert!(hear("t", patient(Some("1"), "a")) && hear("t", patient(Some("2"), "b")));
        assert!(!hear("t", patient(Some("2"), "c")), "the same version, another content");
        let updated = Statement { updated_us: Some(1), ..patient(Some("2"), "c") };
        assert!(!hear("t", updated) && hear("t", updated), "the time of the change tells, too");
        let other = Statement { id: Some("p2"), ..patient(None, "a") };
        assert!(!hear("t", other) && hear("t", other));
        let asked = Statement { content: ["a", "DELETE", ""].map(str::as_bytes), ..other };
        assert!(!hear("t", asked) && !hear("t", other), "it was deleted meanwhile");
        let nameless = Statement { id: None, ..other };
        assert!(!hear("t", nameless) && hear("t", nameless));
    }

    #[test]
    fn inv8_those_that_came_first_are_forgotten_also_after_a_restart() {
        let mut known = Resources::default();
        let names: Vec<String> = (0..=RESOURCES_MAX).map(|n| n.to_string()).collect();
        let of = |name| Statement { id: Some(name), ..patient(None, "a") };
        for name in &names {
            assert!(!known.hear("t", &of(name)));
        }
        assert_eq!(known.said.len(), RESOURCES_MAX);
        let mut again = Resources::default();
        again.recall(known.saved());
        for mut known in [known, again] {
            assert!(known.hear("t", &of(&names[1])) && known.hear("t", &of(&names[RESOURCES_MAX])));
            assert!(!known.hear("t", &of(&names[0])), "forgotten");
            assert!(!known.hear("t", &of(&names[1])), "the next oldest made room");
            assert_eq!((known.said.len(), known.order.len()), (RESOURCES_MAX, RESOURCES_MAX));
        }
    }
}

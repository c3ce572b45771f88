//! Topic aliases of MQTT 5 (section 3.3.2.3.4), in both directions. Pure.

use std::collections::HashMap;

use crate::mqtt::{Alias, Publish, Reason};

/// What a client's aliases stand for.
#[derive(Debug)]
pub(super) struct IncomingAliases {
    topics: Vec<String>,
    most: u16,
}

impl IncomingAliases {
    pub(super) fn new(most: u16) -> Self {
        Self { topics: Vec::new(), most }
    }

    /// Puts the topic into a message that has only an alias, and learns new ones.
    pub(super) fn resolve(&mut self, publish: &mut Publish) -> Result<(), Reason> {
        let Some(alias) = publish.alias.take() else { return Ok(()) };
        if alias == 0 || alias > self.most {
            return Err(Reason::TopicAlias);
        }
        let at = usize::from(alias) - 1;
        if publish.topic.is_empty() {
            let known = self.topics.get(at).filter(|topic| !topic.is_empty());
            publish.topic.clone_from(known.ok_or(Reason::Protocol)?);
            return Ok(());
        }
        if self.topics.len() <= at {
            self.topics.resize(at + 1, String::new());
        }
        self.topics[at].clone_from(&publish.topic);
        Ok(())
    }
}

/// The aliases that we have told a client: the first topics that it gets, as many as it takes.
#[derive(Debug)]
pub(super) struct OutgoingAliases {
    topics: HashMap<String, u16>,
    most: u16,
}

impl OutgoingAliases {
    pub(super) fn new(most: u16) -> Self {
        Self { topics: HashMap::new(), most }
    }

    /// Returns the alias of a topic, new or known.
    pub(super) fn of(&mut self, topic: &str) -> Option<Alias> {
        if self.most == 0 {
            return None;
        }
        if let Some(id) = self.topics.get(topic) {
            return Some(Alias { id: *id, known: true });
        }
        let id = u16::try_from(self.topics.len() + 1).ok().filter(|id| *id <= self.most)?;
        self.topics.insert(topic.to_owned(), id);
        Some(Alias { id, known: false })
    }

    /// A packet that introduced an alias was not sent after all.
    pub(super) fn forget(&mut self, topic: &str, alias: Option<Alias>) {
        if alias.is_some_and(|alias| !alias.known) {
            self.topics.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(topic: &str, alias: Option<u16>) -> Publish {
        Publish {
            topic: topic.into(),
            alias,
            payload: bytes::Bytes::new(),
            qos: 0,
            retain: false,
            dup: false,
            pkid: 0,
            properties: None,
        }
    }

    #[test]
    fn an_alias_stands_for_its_last_topic() {
        let mut aliases = IncomingAliases::new(5);
        let mut resolved = |topic, alias| {
            let mut publish = publish(topic, alias);
            aliases.resolve(&mut publish).map(|()| publish.topic)
        };
        assert_eq!(resolved("", Some(2)), Err(Reason::Protocol), "nobody said what it stands for");
        assert_eq!(resolved("a", Some(2)).as_deref(), Ok("a"));
        assert_eq!(resolved("", Some(2)).as_deref(), Ok("a"));
        assert_eq!(resolved("b", Some(2)).as_deref(), Ok("b"));
        assert_eq!(resolved("", Some(2)).as_deref(), Ok("b"));
        assert_eq!(resolved("", Some(1)), Err(Reason::Protocol));
        assert_eq!(
            [resolved("c", Some(0)), resolved("c", Some(6))],
            [Err(Reason::TopicAlias), Err(Reason::TopicAlias)]
        );
        assert_eq!(resolved("plain", None).as_deref(), Ok("plain"));
    }

    #[test]
    fn a_client_gets_no_more_aliases_than_it_takes() {
        let mut aliases = OutgoingAliases::new(1);
        let first = aliases.of("a");
        assert_eq!(first, Some(Alias { id: 1, known: false }));
        assert_eq!([aliases.of("a"), aliases.of("b")], [Some(Alias { id: 1, known: true }), None]);
        aliases.forget("a", first);
        assert_eq!(aliases.of("b"), Some(Alias { id: 1, known: false }));
        assert_eq!(OutgoingAliases::new(0).of("a"), None);
    }
}

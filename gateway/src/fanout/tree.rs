//! Who subscribed to what: topic filters as a tree of their levels.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::mailbox::Mailbox;
use crate::letter::Options;

/// One subscription of one session.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) options: Options,
}

/// The members of one shared subscription.
#[derive(Debug)]
pub(crate) struct Group {
    /// `$share/name/filter`.
    pub(crate) name: Arc<str>,
    pub(crate) members: Vec<Subscriber>,
    turn: AtomicUsize,
}

impl Group {
    /// Chooses whose turn it is; who is connected comes first.
    pub(crate) fn choose(&self, qos: u8) -> Option<&Subscriber> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let members =
            || (0..self.members.len()).map(|n| &self.members[(turn + n) % self.members.len()]);
        let takes = |member: &&Subscriber| member.mailbox.would_take(qos.min(member.options.qos));
        let connected = members().find(|member| member.mailbox.is_connected() && takes(member));
        connected.or_else(|| members().find(takes))
    }
}

/// Who gets the messages of one topic.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) groups: Vec<Arc<Group>>,
    /// Control traffic: it waits for nobody who is away, and the oldest of it makes room.
    pub(crate) passing: bool,
}

impl Audience {
    pub(crate) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.groups.is_empty()
    }
}

/// First levels of filters that are looked through for each message, at most.
const FIRST_LEVELS_MAX: usize = 16;

/// Which topics can have an audience, by their first level.
#[derive(Debug, Default)]
pub(crate) enum Reach {
    /// Those that begin with one of these: most of what devices publish, nobody but the lake wants.
    Only(Vec<Box<str>>),
    /// A filter begins with a wildcard, or there are many.
    #[default]
    All,
}

impl Reach {
    pub(crate) fn has(&self, topic: &str) -> bool {
        let first = || topic.split_once('/').map_or(topic, |(first, _)| first);
        match self {
            Self::All => true,
            Self::Only(levels) => levels.iter().any(|level| **level == *first()),
        }
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Self>,
    subscribers: Vec<Subscriber>,
    groups: Vec<Arc<Group>>,
}

/// Bytes that a level of a filter takes at most, as a node with a map of one child.
const LEVEL_BYTES: usize = 512;
/// Bytes that a subscription takes beside its filter: its place in the node and in its session.
const SUBSCRIPTION_BYTES: usize = 256;

/// Returns about how much memory a subscription takes at most: filters that begin alike share their levels.
pub(crate) fn cost(filter: &str) -> usize {
    let levels = filter.bytes().filter(|byte| *byte == b'/').count() + 1;
    SUBSCRIPTION_BYTES + levels * LEVEL_BYTES + 2 * filter.len()
}

/// Splits `$share/name/filter`; `None` for a filter that is not shared.
pub(crate) fn shared_filter(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

impl Tree {
    /// Adds a subscription, or changes its options; tells whether it is new. The filter must be valid.
    pub(crate) fn subscribe(&mut self, filter: &str, subscriber: Subscriber) -> bool {
        let shared = shared_filter(filter);
        let path = shared.map_or(filter, |(_, filter)| filter);
        let mut node = &mut self.root;
        for level in path.split('/') {
            node = node.children.entry(level.into()).or_default();
        }
        match shared {
            None => add(&mut node.subscribers, subscriber),
            Some(_) => node.change_group(filter, |members| add(members, subscriber)),
        }
    }

    /// Removes a subscription; tells whether there was one.
    pub(crate) fn unsubscribe(&mut self, filter: &str, mailbox: &Arc<Mailbox>) -> bool {
        let path = shared_filter(filter).map_or(filter, |(_, filter)| filter);
        self.root.remove(path.split('/'), filter, mailbox)
    }

    /// Returns which topics can have an audience.
    pub(crate) fn reach(&self) -> Reach {
        let first = &self.root.children;
        if first.len() > FIRST_LEVELS_MAX || first.contains_key("#") || first.contains_key("+") {
            return Reach::All;
        }
        Reach::Only(first.keys().cloned().collect())
    }

    /// Returns who gets the messages of a topic: subscriptions of one session side by side, if several of its filters select it. Wildcards do not
    /// reach the first `literal` levels: those of the control prefix, and one that starts with `$` (MQTT 3.1.1 and 5, section 4.7.2).
    pub(crate) fn audience(&self, topic: &str, literal: usize) -> Audience {
        let mut audience = Audience::default();
        let levels: Vec<&str> = topic.split('/').collect();
        self.root.collect(&levels, literal, &mut audience);
        audience.subscribers.sort_by_key(|subscriber| Arc::as_ptr(&subscriber.mailbox));
        audience
    }
}

impl Node {
    fn change_group(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Vec<Subscriber>) -> bool,
    ) -> bool {
        let at = self.groups.iter().position(|group| *group.name == *name);
        let mut members =
            at.map(|at| self.groups.swap_remove(at).members.clone()).unwrap_or_default();
        let changed = change(&mut members);
        if !members.is_empty() {
            let turn = AtomicUsize::new(0);
            self.groups.push(Arc::new(Group { name: name.into(), members, turn }));
        }
        changed
    }

    fn remove<'a>(
        &mut self,
        mut path: impl Iterator<Item = &'a str>,
        filter: &str,
        mailbox: &Arc<Mailbox>,
    ) -> bool {
        match path.next() {
            None if shared_filter(filter).is_some() => {
                self.change_group(filter, |members| leave(members, mailbox))
            }
            None => leave(&mut self.subscribers, mailbox),
            Some(level) => {
                let Some(child) = self.children.get_mut(level) else { return false };
                let removed = child.remove(path, filter, mailbox);
                // What nobody subscribes to any more takes no memory.
                if child.children.is_empty()
                    && child.subscribers.is_empty()
                    && child.groups.is_empty()
                {
                    self.children.remove(level);
                }
                removed
            }
        }
    }

    fn collect(&self, levels: &[&str], literal: usize, audience: &mut Audience) {
        let wildcards = literal == 0;
        if wildcards && let Some(rest) = self.children.get("#") {
            rest.join(audience);
        }
        let Some((level, below)) = levels.split_first() else { return self.join(audience) };
        let literal = literal.saturating_sub(1);
        if let Some(child) = self.children.get(*level) {
            child.collect(below, literal, audience);
        }
        if wildcards && let Some(child) = self.children.get("+") {
            child.collect(below, literal, audience);
        }
    }

    fn join(&self, audience: &mut Audience) {
        audience.subscribers.extend(self.subscribers.iter().cloned());
        audience.groups.extend(self.groups.iter().cloned());
    }
}

fn add(subscribers: &mut Vec<Subscriber>, new: Subscriber) -> bool {
    let known = leave(subscribers, &new.mailbox);
    subscribers.push(new);
    !known
}

fn leave(subscribers: &mut Vec<Subscriber>, mailbox: &Arc<Mailbox>) -> bool {
    let before = subscribers.len();
    subscribers.retain(|subscriber| !Arc::ptr_eq(&subscriber.mailbox, mailbox));
    subscribers.len() < before
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use telemetry_core::topic::ControlTopics;

    use super::super::mailbox::MailboxLimits;
    use super::*;

    fn subscriber(client_id: &str) -> Subscriber {
        let limits = MailboxLimits::new(1, 1 << 20);
        let mailbox = Arc::new(Mailbox::new(client_id.into(), limits, None));
        Subscriber { mailbox, options: Options { qos: 1, ..Options::default() } }
    }

    fn names(audience: &Audience) -> Vec<&str> {
        audience.subscribers.iter().map(|subscriber| &*subscriber.mailbox.client_id).collect()
    }

    #[test]
    fn a_tree_that_nobody_subscribes_to_is_empty() {
        let mut tree = Tree::default();
        let one = subscriber("one");
        for filter in ["a/b/#", "a/+/c", "#", "$share/g/a/b", "a"] {
            tree.subscribe(filter, one.clone());
        }
        for filter in ["a/b/#", "a/+/c", "#", "$share/g/a/b", "a", "never/there"] {
            tree.unsubscribe(filter, &one.mailbox);
        }
        assert!(tree.root.children.is_empty());
    }

    #[test]
    fn only_first_levels_that_are_few_and_no_wildcards_say_who_can_be_reached() {
        let (mut tree, one) = (Tree::default(), subscriber("one"));
        let reached = |tree: &Tree| ["a", "a/b", "ab", "b/a", "/a"].map(|it| tree.reach().has(it));
        assert_eq!(reached(&tree), [false; 5]);
        tree.subscribe("$share/g/a/#", one.clone());
        assert_eq!(reached(&tree), [true, true, false, false, false]);
        for wildcard in ["#", "+/b"] {
            tree.subscribe(wildcard, one.clone());
            assert_eq!(reached(&tree), [true; 5]);
            tree.unsubscribe(wildcard, &one.mailbox);
        }
        for n in 0..FIRST_LEVELS_MAX {
            assert!(!reached(&tree)[3]);
            tree.subscribe(&format!("{n}/x"), one.clone());
        }
        assert_eq!(reached(&tree), [true; 5]);
    }

    #[test]
    fn subscribing_again_changes_the_options_and_adds_nothing() {
        let mut tree = Tree::default();
        let one = subscriber("one");
        tree.subscribe("a/+", one.clone());
        tree.subscribe("a/+", Subscriber { options: Options::default(), ..one });
        let audience = tree.audience("a/b", 0);
        assert_eq!(names(&audience), ["one"]);
        assert_eq!(audience.subscribers[0].options.qos, 0);
    }

    #[test]
    fn the_members_of_a_group_take_turns_and_who_is_away_or_full_is_passed_over() {
        let mut tree = Tree::default();
        let (one, two) = (subscriber("one"), subscriber("two"));
        for member in [&one, &two] {
            member.mailbox.set_present(true, false);
            tree.subscribe("$share/g/a/#", member.clone());
        }
        let group = tree.audience("a/b", 0).groups.remove(0);
        let choose = || group.choose(1).map(|member| member.mailbox.client_id.to_string());
        let turns = [choose(), choose(), choose()];
        assert!(turns[0] == turns[2] && turns[0] != turns[1], "{turns:?}");
        one.mailbox.set_present(false, false);
        assert_eq!([choose().as_deref(), choose().as_deref()], [Some("two"), Some("two")]);
        two.mailbox.set_present(false, true);
        assert_eq!(choose().as_deref(), Some("two"), "it will come back for QoS 1");
        assert!(group.choose(0).is_none());
    }

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            "[ab]",
            Just("$SYS".to_owned()),
            Just("tm".to_owned()),
            Just("v1".to_owned())
        ]
    }

    proptest! {
        #[test]
        fn the_tree_selects_what_the_filters_match(
            filters in prop::collection::vec((prop::collection::vec(prop_oneof![3 => level(), 1 => Just("+".to_owned())], 1..4), any::<bool>()), 1..8),
            topic in prop::collection::vec(level(), 1..5),
        ) {
            let (mut tree, topics) = (Tree::default(), ControlTopics::default());
            let mut expected = Vec::new();
            let topic = topic.join("/");
            for (n, (levels, rest)) in filters.iter().enumerate() {
                let filter = levels.join("/") + if *rest { "/#" } else { "" };
                if filter.is_empty() || filter.starts_with("$share/") { continue }
                let name = format!("{n}");
                tree.subscribe(&filter, subscriber(&name));
                if topics.selects(&filter, &topic) { expected.push(name) }
            }
            let audience = tree.audience(&topic, topics.literal_levels(&topic));
            let mut selected = names(&audience);
            selected.sort_unstable();
            expected.sort_unstable();
            prop_assert!(expected.is_empty() || tree.reach().has(&topic), "who is reached is looked for");
            prop_assert_eq!(selected, expected);
        }
    }
}

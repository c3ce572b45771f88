//! Finds the objects of a message, when each of them happened, and what is said about all of its readings.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::compiled::Values;
use super::tree::{At, Tree};
use super::{Group, Told};
use crate::decode::clock::{USUAL, When, Where};
use crate::decode::extra::Extra;
use crate::decode::reject::{Code, Reject};
use crate::decode::sound::Pointer;
use crate::decode::time;

/// What a pointer leads to, from the object or else from the message around it.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    units: Vec<Option<At>>,
    per_row: Vec<Option<At>>,
    times: Vec<Option<At>>,
}

/// See the module.
pub(super) struct Reader<'t, 'a> {
    pub(super) values: &'a Values,
    pub(super) tree: &'t Tree<'a>,
    pub(super) groups: Vec<Group<'a>>,
    /// Readings that have another name than their path: group, place in it, path.
    pub(super) renamed: Vec<(usize, usize, String)>,
    /// Where each group's time is.
    pub(super) clocks: Vec<Option<At>>,
    /// The group that readings go to.
    pub(super) group: usize,
    /// Where it is.
    pub(super) path: String,
    /// Values that are no readings of the object.
    pub(super) taken: Vec<At>,
    /// The same of the first object of the message.
    pub(super) first_taken: Vec<At>,
    /// The first group of the message, or of the element of its array.
    pub(super) first: usize,
    /// Where the units of the object are said.
    pub(super) units: Vec<Option<At>>,
    pub(super) leaves: usize,
    pub(super) metrics_bytes: usize,
    pub(super) kept_bytes: usize,
}

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn new(values: &'a Values, tree: &'t Tree<'a>, topic: &str) -> Self {
        let base = values.metric.as_ref().and_then(|metric| metric.text(topic));
        // Values without a name of their own have that of the topic.
        let nameless = !tree.is_object(0) && !tree.children(0).any(|at| tree.is_object(at));
        let level = || topic.rsplit('/').find(|level| !level.is_empty()).unwrap_or("value");
        let base = base.or_else(|| nameless.then(|| level().to_owned()));
        Self {
            values,
            tree,
            groups: Vec::new(),
            renamed: Vec::new(),
            clocks: Vec::new(),
            group: 0,
            path: base.unwrap_or_default(),
            taken: Vec::new(),
            first_taken: Vec::new(),
            first: 0,
            units: Vec::new(),
            leaves: 0,
            metrics_bytes: 0,
            kept_bytes: 0,
        }
    }

    pub(super) fn read(mut self) -> Result<Vec<Group<'a>>, Reject> {
        let objects = self.tree.children(0).any(|at| self.tree.is_object(at));
        if self.tree.is_array(0) && objects && self.values.array(&self.path).is_none() {
            self.elements(0, Self::whole)?;
        } else {
            self.whole(0)?;
        }
        self.settle()
    }

    /// Groups with rows; what others have goes to a neighbour, so that it has a row.
    fn settle(mut self) -> Result<Vec<Group<'a>>, Reject> {
        self.unmix();
        let mut settled: Vec<Group<'a>> = Vec::with_capacity(self.groups.len());
        let (mut homeless, mut shared) = (Extra::default(), Extra::default());
        for (mut group, clock) in self.groups.into_iter().zip(self.clocks) {
            if group.readings.is_empty() && group.report.is_none() {
                if let (Some(clock), Told::At { text, .. }) = (clock, group.time) {
                    homeless.add(self.tree.node(clock).name.clone(), text);
                }
                homeless.append(&mut group.first);
                shared.append(&mut group.extra);
                continue;
            }
            // What the message says of all its elements is there already.
            if !shared.is_from_the_same_place(&group.extra) {
                homeless.append(&mut shared);
            }
            shared = Extra::default();
            homeless.append(&mut group.first);
            group.first = std::mem::take(&mut homeless);
            settled.push(group);
        }
        let Some(last) = settled.last_mut() else {
            let reason = match self.values.roots.as_slice() {
                [] => "the message has no value",
                _ => "there is no value where the rule's `root` leads",
            };
            return Err(Reject::new(Code::ValueMissing, reason));
        };
        last.first.append(&mut homeless);
        last.first.append(&mut shared);
        Ok(settled)
    }

    /// Of readings that would have one name, those that the rule renamed keep their own: else nobody could tell which is which.
    fn unmix(&mut self) {
        let mut counts: HashMap<(usize, Cow<'a, str>), usize> = HashMap::new();
        let groups: BTreeSet<usize> = self.renamed.iter().map(|(group, ..)| *group).collect();
        for group in groups {
            for leaf in &self.groups[group].readings {
                *counts.entry((group, leaf.metric.clone())).or_default() += 1;
            }
        }
        for (group, place, path) in std::mem::take(&mut self.renamed) {
            let metric = &mut self.groups[group].readings[place].metric;
            if counts.get(&(group, metric.clone())).is_some_and(|count| *count > 1) {
                *metric = Cow::Owned(path);
            }
        }
    }

    /// Does something with each object of an array; others are kept.
    fn elements(
        &mut self,
        array: At,
        mut each: impl FnMut(&mut Self, At) -> Result<(), Reject>,
    ) -> Result<(), Reject> {
        let tree = self.tree;
        let mut others = Vec::new();
        for (place, element) in tree.children(array).enumerate() {
            if tree.is_object(element) && tree.children(element).next().is_some() {
                each(self, element)?;
            } else {
                others.push((place, element));
            }
        }
        for (place, element) in others {
            let place = self.child(&place.to_string());
            self.keep(element);
            self.path.truncate(place);
        }
        Ok(())
    }

    /// A message, or an element of one.
    fn whole(&mut self, whole: At) -> Result<(), Reject> {
        let tree = self.tree;
        let roots = &self.values.roots;
        let way = match roots.as_slice() {
            [] => Some((Vec::new(), "")),
            roots => roots.iter().find_map(|root| Some((tree.way(whole, root)?, root.last()))),
        };
        let found = self.found(whole, &Found::default());
        self.first = self.groups.len();
        let Some((way, root_name)) = way else {
            self.open(whole, whole, None, &found);
            self.aside(tree.children(whole).collect());
            return Ok(());
        };
        let root = way.last().copied().unwrap_or(whole);
        if self.values.each_member && tree.is_object(root) {
            self.members(root, whole, &found)?;
        } else if self.is_list(root) {
            self.elements(root, |reader, item| reader.item(item, whole, None, &found))?;
        } else if tree.is_object(root) || (tree.is_array(root) && root == whole) {
            self.item(root, whole, None, &found)?;
        } else {
            let place = self.child(root_name);
            self.item(root, whole, None, &found)?;
            self.path.truncate(place);
        }
        self.beside(&way, whole, &found);
        Ok(())
    }

    /// Keeps members that are no readings.
    fn aside(&mut self, members: Vec<At>) {
        for member in members {
            if !self.taken.contains(&member) {
                let place = self.child(self.tree.name(member));
                self.keep(member);
                self.path.truncate(place);
            }
        }
    }

    /// Whether each element of an array is a group of its own.
    fn is_list(&self, at: At) -> bool {
        let tree = self.tree;
        tree.is_array(at)
            && tree.children(at).any(|child| tree.is_object(child))
            && self.values.array(&self.path).is_none()
    }

    /// Each member is a group: an object, or an array of them.
    fn members(&mut self, root: At, whole: At, found: &Found) -> Result<(), Reject> {
        let tree = self.tree;
        let mut others = Vec::new();
        for member in tree.children(root) {
            let name = || Some(tree.node(member).name.clone());
            if self.is_list(member) {
                self.elements(member, |reader, item| reader.item(item, whole, name(), found))?;
            } else if tree.is_object(member) {
                self.item(member, whole, name(), found)?;
            } else {
                others.push(member);
            }
        }
        if self.groups.len() == self.first {
            self.open(root, whole, None, found);
        }
        self.aside(others);
        Ok(())
    }

    /// What is around the root has no row of its own.
    fn beside(&mut self, way: &[At], whole: At, found: &Found) {
        if self.groups.len() == self.first {
            self.open(whole, whole, None, found);
        }
        self.group = self.first;
        self.taken = std::mem::take(&mut self.first_taken);
        let base = std::mem::take(&mut self.path);
        let mut around = whole;
        for next in way {
            self.aside(self.tree.children(around).filter(|child| child != next).collect());
            self.child(self.tree.name(*next));
            around = *next;
        }
        self.path = base;
    }

    fn found(&self, at: At, else_: &Found) -> Found {
        let find = |pointers: &[Pointer], else_: &[Option<At>]| {
            let found = pointers.iter().enumerate().map(|(place, pointer)| {
                let here = self.tree.find(at, pointer);
                here.or_else(|| else_.get(place).copied().flatten())
            });
            found.collect()
        };
        let times = match &self.values.clock.place {
            Where::Members(pointers) => find(pointers, &else_.times),
            Where::None | Where::Usual => Vec::new(),
        };
        Found {
            units: find(&self.values.unit_pointers, &else_.units),
            per_row: find(&self.values.per_row, &else_.per_row),
            times,
        }
    }

    /// An object whose values are readings.
    fn item(
        &mut self,
        item: At,
        whole: At,
        member: Option<Cow<'a, str>>,
        around: &Found,
    ) -> Result<(), Reject> {
        let found = if item == whole { around.clone() } else { self.found(item, around) };
        self.open(item, whole, member, &found);
        let report = self.values.reports.object(self.tree, item);
        if let Some((report, member)) = report {
            self.groups[self.group].report = Some(report);
            self.taken.extend(member);
        }
        self.value(item, self.values.only.is_empty(), None)
    }

    /// Begins a group.
    pub(super) fn open(
        &mut self,
        item: At,
        whole: At,
        member: Option<Cow<'a, str>>,
        found: &Found,
    ) {
        let tree = self.tree;
        self.group = self.groups.len();
        self.groups.push(Group {
            time: Told::Nothing,
            readings: Vec::new(),
            report: None,
            extra: Extra::default(),
            first: Extra::default(),
            raw: tree.raw(item),
            whole: tree.raw(whole),
            member,
        });
        self.clocks.push(None);
        self.taken.clear();
        self.units.clone_from(&found.units);
        for (pointer, at) in self.values.per_row.iter().zip(&found.per_row) {
            if let Some(at) = *at {
                self.groups[self.group].extra.add(pointer.last().to_owned(), tree.raw(at));
                self.taken.push(at);
            }
        }
        for at in found.units.iter().flatten().copied() {
            if !self.taken.contains(&at) {
                self.groups[self.group].first.add(tree.node(at).name.clone(), tree.raw(at));
                self.taken.push(at);
            }
        }
        self.tell(item, whole, found);
        if self.group == self.first {
            self.first_taken.clone_from(&self.taken);
        }
    }

    /// Says when it happened.
    fn tell(&mut self, item: At, whole: At, found: &Found) {
        let (tree, values) = (self.tree, self.values);
        let clock = &values.clock;
        let said = |at: &At| tree.is_scalar(*at) && tree.raw(*at) != "null";
        match &clock.place {
            Where::None => {}
            Where::Members(_) => {
                if let Some(at) = found.times.iter().flatten().copied().find(said) {
                    self.told(at, clock.read(tree.raw(at)), Some(at));
                }
            }
            Where::Usual => {
                let named = |object: At| {
                    let members = tree.children(object).filter(|_| tree.is_object(object));
                    let mut members: Vec<(usize, At)> = members
                        .filter(|at| said(at) && !tree.node(*at).shadowed)
                        .filter_map(|at| {
                            Some((USUAL.iter().position(|name| *name == tree.name(at))?, at))
                        })
                        .collect();
                    members.sort_unstable();
                    members
                };
                let mut members = named(item);
                if members.is_empty() && item != whole {
                    members = named(whole);
                }
                let mut readable =
                    members.iter().filter_map(|(_, at)| Some((*at, clock.guess(tree.raw(*at))?)));
                let text = members.iter().find(|(_, at)| tree.raw(*at).starts_with('"'));
                if let Some((at, when)) = readable.next() {
                    self.told(at, Some(when), Some(at));
                    for (other, _) in readable {
                        self.groups[self.group]
                            .first
                            .add(tree.node(other).name.clone(), tree.raw(other));
                        self.taken.push(other);
                    }
                } else if let Some((_, at)) = text {
                    self.told(*at, None, Some(*at));
                }
            }
        }
    }

    /// Notes what was said at `at`, and what it means.
    pub(super) fn told(&mut self, at: At, when: Option<When>, taken: Option<At>) {
        let text = self.tree.raw(at);
        self.taken.extend(taken);
        self.clocks[self.group] = Some(at);
        let group = &mut self.groups[self.group];
        match when {
            Some(When { us, flags }) => group.time = Told::At { us, flags, text },
            None => {
                group.time = Told::Unreadable(text);
                if !time::has_column(text) {
                    group.extra.add(self.tree.node(at).name.clone(), text);
                }
            }
        }
    }
}

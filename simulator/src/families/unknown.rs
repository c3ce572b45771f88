//! Members that nobody knows, as new firmware brings them: a device has more of them the longer it runs. In a payload that a rule
//! takes for what it is, a scalar is a reading like any other, and what is none is kept.

use super::telling::{Part, Said, Telling};
use crate::config::Disorder;
use crate::message::DeviceName;
use crate::seeded::Stream;

/// Messages with such members until there is one more.
const GROWS_EVERY: u64 = 2;
/// There are so many.
const KINDS: usize = 9;
/// A whole number that a double can't hold: it would be one less.
const LONG: &str = "9007199254740993";

/// See the module.
#[derive(Debug)]
pub(super) struct Unknown {
    stream: Stream,
    share: f64,
    messages: u64,
}

/// How a family's profile names the readings of the object that grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming {
    /// Before the name of a scalar of the object.
    pub(super) metric: &'static str,
    /// Before the path of one that is deeper.
    pub(super) deeper: &'static str,
    /// Before the path of what is kept.
    pub(super) kept: &'static str,
}

impl Naming {
    /// As they are.
    pub(super) const PLAIN: Self = Self { metric: "", deeper: "", kept: "" };
}

/// What a message has of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Grown {
    many: usize,
    number: u64,
}

impl Unknown {
    pub(super) fn new(seed: u64, name: &DeviceName, disorder: &Disorder) -> Self {
        let stream = Stream::new(seed, "unknown", &name.device_id, &name.site);
        Self { stream, share: disorder.unknown_members, messages: 0 }
    }

    /// Those of the next message; most have none.
    pub(super) fn next(&mut self) -> Grown {
        if self.share <= 0.0 || !self.stream.chance(self.share) {
            return Grown::default();
        }
        let grown = 1 + usize::try_from(self.messages / GROWS_EVERY).unwrap_or(usize::MAX);
        self.messages += 1;
        Grown { many: grown.min(KINDS), number: self.stream.below(90) + 10 }
    }
}

impl Grown {
    /// Says them at the end of an object.
    pub(super) fn tell(self, say: &mut Telling, naming: Naming) {
        let Self { many, number } = self;
        let note = Said::Text(format!("left hand {number}"));
        // Of two members of one name the last is the reading; the other one is kept.
        let twice = many > 5;
        for kind in 0..many {
            match kind {
                0 if twice => {
                    let path = format!("{}fw_note", naming.kept);
                    let json = format!("\"left hand {number}\"");
                    say.aside(Part::Beside, "fw_note", &path, &json);
                }
                0 => shallow(say, naming, "fw_note", note.clone()),
                1 => shallow(say, naming, "fw_rssi", Said::Digits(format!("-{number}.50"))),
                2 => shallow(say, naming, "fw_mains", Said::Truth(number % 2 == 0)),
                3 => place(say, naming, number),
                4 => shallow(say, naming, "fw_load", Said::Digits(format!("{number}e-3"))),
                5 => shallow(say, naming, "fw_note", Said::Null),
                6 => say.aside(Part::Beside, "fw_spare", &format!("{}fw_spare", naming.kept), "{}"),
                7 => cells(say, naming, number),
                _ => shallow(say, naming, "fw_serial", Said::Long(LONG)),
            }
        }
    }
}

fn shallow(say: &mut Telling, naming: Naming, name: &str, said: Said) {
    say.reading(name, said, &format!("{}{name}", naming.metric), None);
}

fn place(say: &mut Telling, naming: Naming, number: u64) {
    let path = |rest: &str| format!("{}fw_place.{rest}", naming.deeper);
    say.object("fw_place", |say| {
        say.reading("lat", Said::Digits(format!("{number}.250")), &path("lat"), None);
        say.name("tags");
        say.mark("[");
        say.element(Said::Text("a".into()), &path("tags.0"), None);
        say.element(Said::Null, &path("tags.1"), None);
        say.mark("]");
    });
}

fn cells(say: &mut Telling, naming: Naming, number: u64) {
    let path = |rest: &str| format!("{}fw_cells.{rest}", naming.deeper);
    say.name("fw_cells");
    say.mark("[");
    say.element(Said::Digits(number.to_string()), &path("0"), None);
    say.mark("[");
    say.element(Said::Digits("2.5".into()), &path("1.0"), None);
    say.element(Said::Truth(false), &path("1.1"), None);
    say.mark("]");
    say.mark("]");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_grow_one_by_one_and_there_are_none_without_a_share() {
        let name = DeviceName::new("s", "d");
        let mut none = Unknown::new(1, &name, &Disorder::default());
        assert_eq!(none.next().many, 0);
        let disorder = Disorder { unknown_members: 1.0, ..Disorder::default() };
        let mut unknown = Unknown::new(1, &name, &disorder);
        let many: Vec<usize> = (0..60).map(|_| unknown.next().many).collect();
        assert!(many.is_sorted() && many[0] == 1 && many[59] == KINDS, "{many:?}");
    }
}

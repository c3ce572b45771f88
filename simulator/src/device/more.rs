//! Members that no column is for, as firmware grows them: seeded by the device, and more of them the longer it runs.

use crate::config::Disorder;
use crate::message::DeviceName;
use crate::seeded::Stream;

/// Messages with such members until there is one more.
const GROWS_EVERY: u64 = 20;
/// How they are named and written; `#` is a number that changes.
const MEMBERS: [(&str, &str); 7] = [
    ("probe", r#""left hand #""#),
    ("rssi", "-#.50"),
    ("on_mains", "true"),
    ("where", r#"{"lat":#.250, "tags":["a",null]}"#),
    ("load", "#e-3"),
    ("cells", "[#,[2.50,false],{}]"),
    ("probe", "null"),
];

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct More {
    stream: Stream,
    share: f64,
    messages: u64,
}

impl More {
    pub(super) fn new(seed: u64, name: &DeviceName, disorder: &Disorder) -> Self {
        let stream = Stream::new(seed, "more", &name.device_id, &name.site);
        Self { stream, share: disorder.unknown_members, messages: 0 }
    }

    /// The members of one message as JSON, with commas between; most messages have none.
    pub(super) fn members(&mut self) -> Option<String> {
        if self.share <= 0.0 || !self.stream.chance(self.share) {
            return None;
        }
        let many = 1 + usize::try_from(self.messages / GROWS_EVERY).unwrap_or(usize::MAX);
        self.messages += 1;
        let member = |(name, value): &(&str, &str)| {
            let number = self.stream.below(90) + 10;
            format!("\"{name}\":{}", value.replace('#', &number.to_string()))
        };
        let members: Vec<String> = MEMBERS.iter().take(many).map(member).collect();
        Some(members.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_grow_and_are_sound_and_there_are_none_without_a_share() {
        let name = DeviceName::new("s", "m");
        assert_eq!(More::new(1, &name, &Disorder::default()).members(), None);
        let disorder = Disorder { unknown_members: 1.0, ..Disorder::default() };
        let mut more = More::new(1, &name, &disorder);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let members = format!("{{{}}}", more.members().unwrap());
            let object: serde_json::Value = serde_json::from_str(&members).unwrap();
            seen.insert(object.as_object().unwrap().len());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }
}

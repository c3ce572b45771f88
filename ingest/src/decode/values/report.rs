//! Messages that say whether a device is there: births, wills, availability.

use std::collections::BTreeMap;

use super::Report;
use super::settings::{Status, StatusTold};
use super::tree::{At, Tree};
use crate::decode::json;
use crate::decode::sound::Pointer;
use crate::mistake::Mistake;

/// Last levels of topics on which devices say that they are there.
const LEVELS: [&str; 6] = ["LWT", "availability", "online", "status", "state", "connected"];
/// Those on which `true` and `false` say it.
const TRUTHS: [&str; 2] = ["online", "connected"];
/// Members that say it alone.
const MEMBERS: [&str; 2] = ["state", "status"];

/// Which messages are reports.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Reports {
    /// None.
    None,
    /// The usual.
    #[default]
    Usual,
    /// As a rule says.
    Told {
        levels: Option<Vec<String>>,
        words: Option<BTreeMap<String, String>>,
        member: Option<Pointer>,
        says: Option<String>,
    },
}

impl Reports {
    /// Compiles the setting `status`.
    pub(super) fn new(status: Option<&Status>) -> Result<Self, Mistake> {
        let told = match status {
            None | Some(Status::Any(true)) => return Ok(Self::Usual),
            Some(Status::Any(false)) => return Ok(Self::None),
            Some(Status::Told(told)) => told,
        };
        let StatusTold { levels, words, member, says } = told.clone();
        let pointer = |text: String| {
            Pointer::parse(&text).filter(|pointer| !pointer.names().is_empty()).ok_or_else(|| {
                Mistake::new("status.member", "is no JSON pointer: it must be as /state")
            })
        };
        Ok(Self::Told { levels, words, member: member.map(pointer).transpose()?, says })
    }

    /// A bare payload; `level` is the last of the topic.
    pub(super) fn bare<'a>(&self, level: &str, payload: &'a str) -> Option<Report<'a>> {
        let quoted = payload.starts_with('"');
        let said = if quoted { json::text(payload)? } else { payload.into() };
        let status = match self {
            Self::None => return None,
            Self::Usual if !LEVELS.contains(&level) => return None,
            Self::Usual => usual(&said, TRUTHS.contains(&level)),
            Self::Told { levels, words, .. } => {
                let level_fits = match levels {
                    Some(levels) => levels.iter().any(|own| own == level),
                    None => LEVELS.contains(&level),
                };
                if !level_fits {
                    return None;
                }
                self::said(words.as_ref(), &said, TRUTHS.contains(&level))
            }
        }?;
        // What is JSON and another word is kept.
        let json = quoted || matches!(payload, "true" | "false");
        let detail = (json && said.as_ref() != status).then_some(payload);
        Some(Report { status: status.into(), detail })
    }

    /// An object, and the member of it that says it, if one does.
    pub(super) fn object<'a>(&self, tree: &Tree<'a>, at: At) -> Option<(Report<'a>, Option<At>)> {
        let (member, words) = match self {
            Self::None => return None,
            Self::Told { says: Some(says), .. } => {
                let status = says.clone().into();
                return tree.is_object(at).then_some((Report { status, detail: None }, None));
            }
            Self::Told { words, member: Some(member), .. } => {
                (tree.find(at, member)?, words.as_ref())
            }
            Self::Usual | Self::Told { .. } => {
                let mut members = tree.children(at);
                let member =
                    members.next().filter(|member| MEMBERS.contains(&tree.name(*member)))?;
                let words = if let Self::Told { words, .. } = self { words.as_ref() } else { None };
                if members.next().is_some() {
                    return None;
                }
                (member, words)
            }
        };
        let raw = tree.raw(member);
        let text = if raw.starts_with('"') { json::text(raw)? } else { raw.into() };
        let status = said(words, &text, false)?;
        let detail = (text != status).then_some(raw);
        Some((Report { status: status.into(), detail }, Some(member)))
    }
}

/// What a word means by the rule, or as usual.
fn said(words: Option<&BTreeMap<String, String>>, text: &str, truths: bool) -> Option<String> {
    match words {
        Some(words) => words.get(text).cloned(),
        None => usual(text, truths),
    }
}

fn usual(text: &str, truths: bool) -> Option<String> {
    let online = text.eq_ignore_ascii_case("online") || (truths && text == "true");
    let offline = text.eq_ignore_ascii_case("offline") || (truths && text == "false");
    (online || offline).then(|| if online { "online" } else { "offline" }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_words_on_usual_topics_are_reports() {
        let bare = |level: &str, payload| {
            Reports::Usual
                .bare(level, payload)
                .map(|report| (report.status.into_owned(), report.detail))
        };
        let online = Some(("online".to_owned(), None));
        assert_eq!(bare("LWT", "Online"), online);
        assert_eq!(bare("availability", "\"online\""), online);
        assert_eq!(bare("status", "offline"), Some(("offline".to_owned(), None)));
        assert_eq!(bare("connected", "true"), Some(("online".to_owned(), Some("true"))));
        for (level, payload) in
            [("state", "true"), ("temperature", "online"), ("LWT", "on line"), ("status", "ok")]
        {
            assert_eq!(bare(level, payload), None, "{level} {payload}");
        }
    }

    #[test]
    fn an_object_that_says_nothing_else_is_a_report() {
        let object = |text: &str, reports: &Reports| {
            let tree = Tree::read(text).unwrap();
            let report = reports.object(&tree, 0);
            report.map(|(report, at)| {
                (report.status.into_owned(), report.detail.map(str::to_owned), at)
            })
        };
        let usual = Reports::Usual;
        assert_eq!(object(r#"{"state":"online"}"#, &usual), Some(("online".into(), None, Some(1))));
        for text in
            [r#"{"state":"ON"}"#, r#"{"state":"online","rssi":-3}"#, r#"{"x":"online"}"#, "{}"]
        {
            assert_eq!(object(text, &usual), None, "{text}");
        }
        let words = BTreeMap::from([("true".to_owned(), "online".to_owned())]);
        let member = Some("/connected".to_owned());
        let told = StatusTold { words: Some(words), member, ..StatusTold::default() };
        let told = Reports::new(Some(&Status::Told(told))).unwrap();
        let report = object(r#"{"rssi":-3,"connected":true}"#, &told);
        assert_eq!(report, Some(("online".into(), Some("true".into()), Some(2))));
        let told = StatusTold { says: Some("offline".into()), ..StatusTold::default() };
        let told = Reports::new(Some(&Status::Told(told))).unwrap();
        assert_eq!(object(r#"{"device":"a"}"#, &told), Some(("offline".into(), None, None)));
    }

    #[test]
    fn a_rule_may_have_words_and_levels_of_its_own() {
        let words = BTreeMap::from([("up".to_owned(), "online".to_owned())]);
        let told = StatusTold {
            levels: Some(vec!["birth".into()]),
            words: Some(words),
            ..StatusTold::default()
        };
        let told = Reports::new(Some(&Status::Told(told))).unwrap();
        assert_eq!(told.bare("birth", "up").unwrap().status, "online");
        assert!(told.bare("LWT", "up").is_none() && told.bare("birth", "online").is_none());
        assert!(Reports::None.bare("LWT", "online").is_none());
        let wrong = StatusTold { member: Some("state".into()), ..StatusTold::default() };
        assert_eq!(Reports::new(Some(&Status::Told(wrong))).unwrap_err().key, "status.member");
    }
}

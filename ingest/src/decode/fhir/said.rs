//! What one resource says, read by the paths of its type.

use std::borrow::Cow;

use serde_json::Value;

use super::super::extra::Extra;
use super::coded::{Coded, coded, codes};
use super::element::{Found, Tree, first, text_of};
use super::paths::{Paths, paths};
use super::reference::{self, Index, contained, refer, wanted};
use super::value::{Observed, reference_range};
use super::when::When;
use crate::batch::flags::Flags;

/// What a Bundle says beside a resource.
#[derive(Debug, Default)]
pub(super) struct Beside<'a> {
    pub(super) full_url: Option<Cow<'a, str>>,
    pub(super) method: Option<Cow<'a, str>>,
    pub(super) url: Option<Cow<'a, str>>,
    /// When the resource was changed.
    pub(super) modified_us: Option<i64>,
    /// What has no column.
    pub(super) extra: Extra<'a>,
}

/// See the module. Each field is a column.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) kind: &'a str,
    pub(super) id: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) patient: Option<&'a str>,
    pub(super) subject_reference: Option<Cow<'a, str>>,
    pub(super) encounter: Option<&'a str>,
    pub(super) device_reference: Option<Cow<'a, str>>,
    pub(super) identifier: Option<String>,
    pub(super) status: Option<Cow<'a, str>>,
    pub(super) verification: Option<Cow<'a, str>>,
    pub(super) coded: Coded<'a>,
    pub(super) code_reference: Option<Cow<'a, str>>,
    pub(super) category: Option<String>,
    pub(super) observed: Observed<'a>,
    pub(super) interpretation: Option<String>,
    pub(super) reference_range: Option<String>,
    pub(super) method: Option<String>,
    pub(super) when: When<'a>,
    /// What its status says against it.
    pub(super) standing: Flags,
}

impl<'a> Said<'a> {
    /// Reads a resource of the type `kind` that was received at `received_us`.
    pub(super) fn of(
        kind: &'a str,
        tree: &'a Tree,
        beside: &'a Beside<'_>,
        index: &'a Index<'_>,
        received_us: i64,
    ) -> Self {
        let paths = paths(kind);
        let id = reference::own_id(tree, [beside.full_url.as_deref(), beside.url.as_deref()]);
        let (subject_reference, patient) = wanted(tree, paths.subject, "Patient", index);
        let (_, encounter) = wanted(tree, paths.encounter, "Encounter", index);
        let (device_reference, _) = wanted(tree, &["device"], "Device", index);
        let (coded, code_reference) = code(tree, paths, index);
        let (status, verification, standing) = standing(kind, tree, paths);
        Self {
            kind,
            id,
            version: tree.get("meta").and_then(|meta| text_of(meta.get("versionId"))),
            patient: if kind == "Patient" { id } else { patient },
            subject_reference,
            encounter: if kind == "Encounter" { id } else { encounter },
            device_reference,
            identifier: reference::identifier(tree, paths),
            status,
            verification,
            coded,
            code_reference,
            category: category(tree, paths),
            observed: Observed::of(tree, paths.value),
            interpretation: codes(tree.get("interpretation")),
            reference_range: reference_range(tree),
            method: codes(tree.get("method")),
            when: When::of(tree, paths, received_us, beside.modified_us),
            standing,
        }
    }

    /// All that is remarkable about it.
    pub(super) fn flags(&self) -> Flags {
        self.when.flags | self.observed.flags | self.standing
    }
}

/// What it is about, and the reference if another resource says that.
fn code<'a>(
    tree: &'a Tree,
    paths: &Paths,
    index: &'a Index<'_>,
) -> (Coded<'a>, Option<Cow<'a, str>>) {
    let found = first(tree, paths.code);
    let mut own = coded(&found);
    let Some(Found { value, .. }) = found.first().filter(|_| own.is_empty()) else {
        return (own, None);
    };
    let referred = refer(value, tree, index).text;
    if let Some(text) = &referred {
        own = elsewhere(text, tree, index);
    }
    own.display = own.display.or_else(|| text_of(value.get("display")).map(Cow::Borrowed));
    (own, referred)
}

/// The code of a resource that another one refers to, if it is within that one or in the same Bundle.
fn elsewhere<'a>(reference: &str, tree: &'a Tree, index: &Index<'_>) -> Coded<'a> {
    let of = |tree: &'a Tree| {
        let kind = text_of(tree.get("resourceType")).unwrap_or_default();
        coded(&first(tree, paths(kind).code))
    };
    if let Some(local) = reference.strip_prefix('#') {
        return contained(tree, local).map(of).unwrap_or_default();
    }
    let target = index.target(reference).and_then(|target| target.read());
    let coded = target.map(|tree| {
        let kind = text_of(tree.get("resourceType")).unwrap_or_default();
        coded(&first(&tree, paths(kind).code)).into_owned()
    });
    coded.unwrap_or_default()
}

fn category(tree: &Tree, paths: &Paths) -> Option<String> {
    let found = first(tree, paths.category);
    let words = found.iter().filter_map(|found| codes(Some(found.value)));
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(","))
}

type Word<'a> = Option<Cow<'a, str>>;

/// Its status, how sure that is, and what both say against the row.
fn standing<'a>(kind: &str, tree: &'a Tree, paths: &Paths) -> (Word<'a>, Word<'a>, Flags) {
    /// The states of a result in which others may rely on it.
    const FINAL: [&str; 4] = ["final", "amended", "corrected", "appended"];
    let word = |paths| first(tree, paths).first().and_then(|found| state(found.value));
    let (mut status, verification) = (word(paths.status), word(paths.verification));
    let is = |word: &Word<'_>, state| word.as_deref() == Some(state);
    let result = matches!(kind, "Observation" | "DiagnosticReport");
    let wrong = is(&status, "entered-in-error") || is(&verification, "entered-in-error");
    let flags = if wrong || result && is(&status, "cancelled") {
        Flags::RETRACTED
    } else if result && !status.as_deref().is_some_and(|status| FINAL.contains(&status)) {
        Flags::NOT_FINAL
    } else {
        Flags::default()
    };
    if wrong {
        status = Some(Cow::Borrowed("entered-in-error"));
    }
    (status, verification, flags)
}

/// A status in any of its shapes.
fn state(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(true) => Some(Cow::Borrowed("active")),
        Value::Bool(false) => Some(Cow::Borrowed("inactive")),
        value => {
            let coded = coded(&[Found { kind: "", value }]);
            coded.code.or(coded.display)
        }
    }
}

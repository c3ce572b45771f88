//! All values of a payload in a list, each with where its members end: one pass over the text, however deep it is.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::json;
use super::super::reject::{Code, Reject};
use super::super::sound::{Pointer, Walk, index};

/// The place of a value in the list.
pub(super) type At = usize;

/// The values of a payload; the first is the whole.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

/// A value.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Its name in an object.
    pub(super) name: Cow<'a, str>,
    /// As it came.
    pub(super) raw: &'a str,
    /// A later member of its object has the same name.
    pub(super) shadowed: bool,
    /// Where what is in it ends.
    end: At,
}

/// Members up to which each is compared with each.
const FEW: usize = 16;

impl<'a> Tree<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// What is not sound, too deep or too large.
    pub(super) fn read(text: &'a str) -> Result<Self, Reject> {
        json::sound(text)?;
        let mut tree = Self { nodes: Vec::new() };
        let whole = tree.value(&mut Walk::new(text), Cow::Borrowed(""));
        whole.ok_or_else(|| Reject::new(Code::JsonSyntax, "not JSON"))?;
        Ok(tree)
    }

    fn value(&mut self, walk: &mut Walk<'a>, name: Cow<'a, str>) -> Option<()> {
        let first = walk.peek()?;
        let (at, start) = (self.nodes.len(), walk.at());
        self.nodes.push(Node { name, raw: "", shadowed: false, end: at + 1 });
        match first {
            b'{' => {
                walk.take(b'{');
                while !walk.take(b'}') {
                    let name = walk.name()?;
                    self.value(walk, name)?;
                    walk.take(b',');
                }
            }
            b'[' => {
                walk.take(b'[');
                while !walk.take(b']') {
                    self.value(walk, Cow::Borrowed(""))?;
                    walk.take(b',');
                }
            }
            _ => {
                walk.scalar()?;
            }
        }
        let end = self.nodes.len();
        let node = self.nodes.get_mut(at)?;
        (node.raw, node.end) = (walk.since(start)?, end);
        if first == b'{' {
            self.shadow(at);
        }
        Some(())
    }

    /// Marks members whose name comes again.
    fn shadow(&mut self, at: At) {
        let members: Vec<At> = self.children(at).collect();
        let mut shadowed = Vec::new();
        if members.len() <= FEW {
            let again = |place: usize, member: &At| {
                members[place + 1..].iter().any(|later| self.name(*later) == self.name(*member))
            };
            let members = members.iter().enumerate();
            shadowed
                .extend(members.filter(|(place, member)| again(*place, member)).map(|(_, m)| *m));
        } else {
            let mut last = HashMap::with_capacity(members.len());
            shadowed.extend(
                members.iter().filter_map(|member| last.insert(self.name(*member), *member)),
            );
        }
        for member in shadowed {
            self.nodes[member].shadowed = true;
        }
    }

    pub(super) fn node(&self, at: At) -> &Node<'a> {
        &self.nodes[at]
    }

    pub(super) fn name(&self, at: At) -> &str {
        &self.nodes[at].name
    }

    pub(super) fn raw(&self, at: At) -> &'a str {
        self.nodes[at].raw
    }

    pub(super) fn is_object(&self, at: At) -> bool {
        self.raw(at).starts_with('{')
    }

    pub(super) fn is_array(&self, at: At) -> bool {
        self.raw(at).starts_with('[')
    }

    pub(super) fn is_scalar(&self, at: At) -> bool {
        !self.is_object(at) && !self.is_array(at)
    }

    /// What is directly in a value, in order.
    pub(super) fn children(&self, at: At) -> impl Iterator<Item = At> + '_ {
        let end = self.nodes[at].end;
        let first = Some(at + 1).filter(|first| *first < end);
        std::iter::successors(first, move |child| {
            Some(self.nodes[*child].end).filter(|next| *next < end)
        })
    }

    /// The member of an object; of several of one name the last.
    pub(super) fn member(&self, at: At, name: &str) -> Option<At> {
        let mut members = self.children(at).filter(|_| self.is_object(at));
        members.find(|member| self.name(*member) == name && !self.node(*member).shadowed)
    }

    /// The way from `at` to what `pointer` leads to, without `at`.
    pub(super) fn way(&self, at: At, pointer: &Pointer) -> Option<Vec<At>> {
        let mut here = at;
        let mut way = Vec::new();
        for name in pointer.names() {
            here = match self.is_array(here) {
                true => self.children(here).nth(index(name)?)?,
                false => self.member(here, name)?,
            };
            way.push(here);
        }
        Some(way)
    }

    /// What `pointer` leads to from `at`.
    pub(super) fn find(&self, at: At, pointer: &Pointer) -> Option<At> {
        self.way(at, pointer).map(|way| way.last().copied().unwrap_or(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_where_they_are_and_of_two_names_the_last_counts() {
        let tree = Tree::read(r#" {"a":[1, {"b":"x"}],"c":{},"a" : 2} "#).unwrap();
        let members: Vec<_> = tree.children(0).map(|at| (tree.name(at), tree.raw(at))).collect();
        assert_eq!(members, [("a", r#"[1, {"b":"x"}]"#), ("c", "{}"), ("a", "2")]);
        assert_eq!(tree.raw(0), r#"{"a":[1, {"b":"x"}],"c":{},"a" : 2}"#);
        assert_eq!(tree.member(0, "a").map(|at| tree.raw(at)), Some("2"));
        let first = tree.children(0).next().unwrap();
        assert!(tree.node(first).shadowed);
        let find = |at, text: &str| tree.find(at, &Pointer::parse(text).unwrap());
        assert_eq!(find(first, "/1/b").map(|at| tree.raw(at)), Some("\"x\""));
        assert_eq!((find(0, "/a/0"), find(first, "/2"), find(0, "")), (None, None, Some(0)));
        assert_eq!(tree.children(find(0, "/c").unwrap()).count(), 0);
    }

    #[test]
    fn many_members_are_compared_as_few_are() {
        let members: Vec<String> = (0..40).map(|n| format!("\"m{}\":{n}", n % 39)).collect();
        let text = format!("{{{}}}", members.join(","));
        let tree = Tree::read(&text).unwrap();
        let shadowed: Vec<&str> =
            tree.children(0).filter(|at| tree.node(*at).shadowed).map(|at| tree.raw(at)).collect();
        assert_eq!(shadowed, ["0"]);
        assert_eq!(tree.member(0, "m0").map(|at| tree.raw(at)), Some("39"));
    }

    #[test]
    fn what_is_not_sound_is_refused_before() {
        let code = |text: &str| Tree::read(text).unwrap_err().code;
        assert_eq!(code("{\"a\":[1,}"), Code::JsonSyntax);
        assert_eq!(code("{\"a\":"), Code::JsonTruncated);
        assert_eq!(code("{\"a\":NaN}"), Code::NotFinite);
        assert_eq!(code(&"[".repeat(100)), Code::NestingTooDeep);
    }
}

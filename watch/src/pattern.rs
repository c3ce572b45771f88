//! Patterns of names: `*` stands for any run of characters, everything else for itself.

/// A pattern, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    /// No `*` in it.
    exact: bool,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), exact: !text.contains('*') }
    }

    /// Takes every name.
    pub(crate) fn any() -> Self {
        Self::new("*")
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it stands for one name only.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.exact {
            return self.text == name;
        }
        // Greedy with one way back: linear but for the last star.
        let (pattern, name) = (self.text.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut back = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    back = Some((p, n));
                    p += 1;
                }
                Some(byte) if *byte == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((star, from)) = back else { return false };
                    back = Some((star, from + 1));
                    p = star + 1;
                    n = from + 1;
                }
            }
        }
        pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        let is = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        assert!(is("*", "") && is("*", "monitor-1") && Pattern::any().matches("x"));
        assert!(is("monitor-*", "monitor-") && is("monitor-*", "monitor-001"));
        assert!(!is("monitor-*", "pump-1") && !is("monitor-*", "a-monitor-1"));
        assert!(is("*_temp", "fridge_temp") && !is("*_temp", "temp_body"));
        assert!(is("a*b*c", "a-b-b-c") && !is("a*b*c", "a-b-b"));
        assert!(is("a**b", "ab") && is("fridge-1", "fridge-1") && !is("fridge-1", "fridge-10"));
        assert!(is("é*", "éa") && !is("", "a") && is("", ""));
    }
}

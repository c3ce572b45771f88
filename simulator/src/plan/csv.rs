//! Splits a line of CSV (RFC 4180, without line breaks inside quotes).

/// The fields of one line. A quote that is never closed ends with the line.
pub(super) fn fields(line: &str) -> Vec<String> {
    let line = line.trim_end_matches(['\r', '\n']);
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_be_empty_or_quoted() {
        let check = |line: &str, expected: &[&str]| assert_eq!(fields(line), expected, "{line:?}");
        check("a,b,c\r\n", &["a", "b", "c"]);
        check("", &[""]);
        check(",,", &["", "", ""]);
        check(r#""a,b","say ""hi""",c"#, &["a,b", "say \"hi\"", "c"]);
        check(r#"5" pipe,"open"#, &["5\" pipe", "open"]);
    }
}

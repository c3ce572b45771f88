//! Where in a file a rule and its keys are: what is wrong is told with its line.

use super::RuleError;

/// The error of a file that is not TOML, or has a key or value that is none of ours.
pub(super) fn of_syntax(text: &str, error: &toml::de::Error) -> RuleError {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    let rule = nth_before(text, line);
    RuleError {
        line,
        rule,
        key: String::new(),
        problem: error.message().trim_end().replace('\n', " "),
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

/// The name of the rule that a line is in.
fn nth_before(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let start = (0..line.min(lines.len())).rev().find(|at| is_header(lines[*at], "[[rule]]"))?;
    let own = lines[start + 1..].iter().take_while(|line| !line.trim_start().starts_with("[["));
    let name = own.filter_map(|line| value_of(line, "name")).next()?;
    Some(name.trim().trim_matches(['"', '\'']).to_owned())
}

/// The line of a key of the `number`th table (from 0) of a list; that of its header if the key is not written there.
pub(super) fn of_key(text: &str, header: &str, number: usize, key: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let headers = (0..lines.len()).filter(|at| is_header(lines[*at], header));
    let Some(start) = headers.clone().nth(number) else { return 1 };
    let end = (start + 1..lines.len()).find(|at| lines[*at].trim_start().starts_with("[["));
    let own = &lines[start + 1..end.unwrap_or(lines.len())];
    // A key of an inner table is found there, or in the line that has it inline.
    let mut places = vec![key];
    places.extend(key.rsplit_once('.').map(|(outer, inner)| [inner, outer]).into_iter().flatten());
    let found = places.iter().find_map(|key| own.iter().position(|line| says(line, key)));
    found.map_or(start, |at| start + 1 + at) + 1
}

fn is_header(line: &str, header: &str) -> bool {
    line.split('#').next().unwrap_or(line).trim() == header
}

fn says(line: &str, key: &str) -> bool {
    value_of(line, key).is_some() || is_header(line, &format!("[rule.{key}]"))
}

/// What stands behind `key =`.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.trim_start().strip_prefix(key)?.trim_start().strip_prefix('=')
}

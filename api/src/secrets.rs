//! A configuration without its secrets.

use serde_json::Value;

const HIDDEN: &str = "***";
/// Words of settings that are secrets, unless they name a file.
const SECRET: [&str; 6] = ["password", "secret", "token", "credential", "api_key", "access_key"];

/// Puts `***` in the place of what is secret: settings of such names, and logins within addresses.
pub(crate) fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let shown = members.into_iter().map(|(name, value)| {
                let value = match value {
                    Value::String(_) | Value::Number(_) if is_secret(&name) => HIDDEN.into(),
                    other => without_secrets(other),
                };
                (name, value)
            });
            Value::Object(shown.collect())
        }
        Value::Array(values) => values.into_iter().map(without_secrets).collect(),
        Value::String(text) => Value::String(without_login(text)),
        other => other,
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_limit = ["_file", "_max", "_s", "_ms", "_claim"].iter().any(|end| name.ends_with(end));
    !is_limit && SECRET.iter().any(|word| name.contains(word))
}

fn without_login(text: String) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}@{}", &rest[at + 1..]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_what_only_names_a_file_is_not() {
        let config = json!({
            "password": "x", "password_file": "/etc/p", "admin_token": "y", "password_checks_max": 2,
            "a": [{"webhook_secret": "z"}], "url": "https://me:pw@host/x@y", "lake": "s3://bucket/a@b",
        });
        let expected = json!({
            "password": "***", "password_file": "/etc/p", "admin_token": "***", "password_checks_max": 2,
            "a": [{"webhook_secret": "***"}], "url": "https://***@host/x@y", "lake": "s3://bucket/a@b",
        });
        assert_eq!(without_secrets(config), expected);
    }
}

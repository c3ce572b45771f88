//! The answer of an S3 listing with some keys taken out, as a store answers whose listings lag behind.

/// Removes each `<Contents>` element whose key `hidden` names. Anything that is not a listing comes back as it was.
pub(crate) fn without(xml: &str, hidden: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(xml.len());
    let mut rest = xml;
    while let Some(start) = rest.find("<Contents>") {
        let Some(length) = rest[start..].find("</Contents>") else { break };
        let end = start + length + "</Contents>".len();
        let element = &rest[start..end];
        kept.push_str(&rest[..start]);
        if !key(element).is_some_and(|key| hidden(&key)) {
            kept.push_str(element);
        }
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

fn key(element: &str) -> Option<String> {
    let (_, after) = element.split_once("<Key>")?;
    let (key, _) = after.split_once("</Key>")?;
    // Listings may be URL-encoded, and XML escapes the rest.
    Some(decoded(&key.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")))
}

/// Percent-decodes; what is not an escape stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_keys_are_taken_out_of_a_listing() {
        let contents = |key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
        let xml = format!(
            "<ListBucketResult>{}{}<KeyCount>2</KeyCount></ListBucketResult>",
            contents("a%3D1/b"),
            contents("c&amp;d")
        );
        let without_first = without(&xml, |key| key == "a=1/b");
        assert!(!without_first.contains("a%3D1") && without_first.contains("c&amp;d"));
        assert!(without_first.ends_with("<KeyCount>2</KeyCount></ListBucketResult>"));
        assert!(!without(&xml, |key| key == "c&d").contains("c&amp;d"));
        assert_eq!(without(&xml, |_| false), xml);
        assert_eq!(without("<Error/>", |_| true), "<Error/>");
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert_eq!(decoded("100%/%zz%41"), "100%/%zzA");
    }
}

//! What must hold of the page's files: all are embedded, none reaches out, none makes HTML of text.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, root, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

fn text(path: &str) -> String {
    String::from_utf8(asset(path).unwrap().bytes.to_vec()).unwrap()
}

/// Our own scripts and styles, not what is vendored.
fn ours() -> impl Iterator<Item = &'static str> {
    paths().filter(|path| {
        let code = path.ends_with(".js") || path.ends_with(".css") || path.ends_with(".html");
        code && !path.starts_with("vendor/")
    })
}

#[test]
fn every_file_is_embedded() {
    let mut there = BTreeSet::new();
    walk(&folder(), &folder(), &mut there);
    let embedded: BTreeSet<String> = paths().map(str::to_owned).collect();
    assert_eq!(embedded, there);
}

#[test]
fn the_page_is_at_the_root_and_nothing_else_is_guessed() {
    let page = asset("/").unwrap();
    assert_eq!(page, asset("/index.html").unwrap());
    assert_eq!(page.content_type, "text/html; charset=utf-8");
    assert_eq!(asset("/js/main.js").unwrap().content_type, "text/javascript; charset=utf-8");
    for path in ["/js", "/js/", "/../Cargo.toml", "//", "/index.html/", "/nothing"] {
        assert_eq!(asset(path), None, "{path}");
    }
}

#[test]
fn etags_are_quoted_and_differ_with_the_bytes() {
    let mut seen = BTreeSet::new();
    for path in paths() {
        let asset = asset(path).unwrap();
        assert!(asset.etag.starts_with('"') && asset.etag.ends_with('"'), "{path}");
        assert!(seen.insert(asset.etag), "{path} has the etag of another");
    }
}

#[test]
fn what_files_name_is_there() {
    let mut named = 0;
    for path in ours() {
        let code = text(path);
        let at = path.rsplit_once('/').map_or("", |(at, _)| at);
        let marks = ["from '", "import '", "src=\"", "href=\"", "url("];
        for (mark, rest) in marks.iter().flat_map(|mark| {
            code.match_indices(mark)
                .map(|(at, _)| (*mark, &code[at + mark.len()..]))
                .collect::<Vec<_>>()
        }) {
            let end = rest.find(['\'', '"', ')', '`']).unwrap();
            let name = &rest[..end];
            if name.starts_with('#') || mark.contains('\'') && !name.starts_with('.') {
                continue;
            }
            let full = url(at, name);
            assert!(asset(&full).is_some(), "{path} names {name}, which is not there as {full}");
            named += 1;
        }
    }
    assert!(named > 80, "the search finds what files name: {named}");
}

/// `../x` and `./x` as seen from the folder `at`.
fn url(at: &str, name: &str) -> String {
    let mut parts: Vec<&str> = at.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn nothing_makes_html_or_code_of_text() {
    let banned = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
        "srcdoc",
        "javascript:",
        "createContextualFragment",
        " style=\"",
        " onclick=\"",
    ];
    for path in ours() {
        let code = text(path);
        for word in banned {
            assert!(!code.contains(word), "{path} has {word}");
        }
    }
    assert!(!text("index.html").contains("<style"), "styles are in files");
}

#[test]
fn nothing_is_asked_of_others() {
    for path in ours() {
        // The namespace of SVG is a name, not an address.
        let code = text(path).replace("http://www.w3.org/2000/svg", "");
        assert!(!code.contains("http://") && !code.contains("https://"), "{path}");
    }
}

#[test]
fn credentials_are_in_memory_only() {
    for path in ours() {
        let code = text(path);
        for line in code.lines().filter(|line| line.contains("Storage.setItem")) {
            assert!(line.contains("KEY"), "{path} keeps {line}");
        }
        assert!(!code.contains("sessionStorage") && !code.contains("document.cookie"), "{path}");
    }
    assert!(
        !text("js/api.js").contains("localStorage") && !text("js/login.js").contains("Storage")
    );
}

#[test]
fn our_files_are_short_and_say_what_they_are_for() {
    for path in ours().filter(|path| !path.ends_with(".html")) {
        let code = text(path);
        assert!(code.lines().count() <= 350, "{path} has {} lines", code.lines().count());
        assert!(code.starts_with("// ") || code.starts_with("/* "), "{path}");
    }
}

#[test]
fn modules_do_not_use_each_other_in_circles() {
    fn visit(path: &str, on_the_way: &mut Vec<String>) {
        assert!(!on_the_way.iter().any(|seen| seen == path), "{on_the_way:?} -> {path}");
        on_the_way.push(path.to_owned());
        let code = text(path);
        let at = path.rsplit_once('/').map_or("", |(at, _)| at);
        for (from, _) in code.match_indices(" from '") {
            let rest = &code[from + " from '".len()..];
            visit(&url(at, &rest[..rest.find('\'').unwrap()]), on_the_way);
        }
        on_the_way.pop();
    }
    visit("js/main.js", &mut Vec::new());
}

#[test]
fn headers_allow_nothing_inline() {
    let (_, policy) = HEADERS.iter().find(|(name, _)| *name == "content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'"));
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"));
}

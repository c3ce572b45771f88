//! Circles of files: which file of a crate uses which other one, by the paths that its code names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// `["session", "store"]` for `src/session/store.rs`; nothing for the root of a crate.
type Module = Vec<String>;

/// What a file says about others.
struct File {
    /// Names that `use` brings in: what each stands for, and whether it is only passed on (`pub use`).
    imports: BTreeMap<String, Import>,
    /// Paths in the code: `crate::a::B`, `super::c`, `name::D`.
    paths: Vec<Vec<String>>,
    /// Every word outside `use`: whether a name that is passed on is also used.
    words: BTreeSet<String>,
}

struct Import {
    path: Vec<String>,
    passed_on: bool,
}

/// Returns the circles in which files of a crate use each other, each as `a -> b -> a`.
///
/// A file uses another when its code, tests aside, names something that is defined there. A name counts for the file that defines
/// it, not for those that pass it on (`pub use`), and `mod child;` alone is no use.
///
/// A file and the folder that has its name are one room: what is in the folder may use what it belongs to (`super::Connection`,
/// to add methods to it or to take it as an argument), and the file may use what is in its folder. So a way up to a
/// file's own parents is no step of a circle; every other one is, also a parent's from room to room.
pub(crate) fn circles(folder: &Path) -> Vec<String> {
    let files = load(folder);
    let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, file) in &files {
        let mut used = uses(module, file, &files);
        used.retain(|used| !module.starts_with(used));
        edges.insert(module.clone(), used);
    }
    let steps: usize = edges.values().map(BTreeSet::len).sum();
    assert!(steps > 0 || files.len() < 3, "{}: no use of a file was found", folder.display());
    let found: BTreeSet<_> = edges.keys().filter_map(|start| way_back(start, &edges)).collect();
    found
        .into_iter()
        .map(|circle| circle.iter().map(name).collect::<Vec<_>>().join(" -> "))
        .collect()
}

fn name(module: &Module) -> String {
    if module.is_empty() { "lib".to_owned() } else { module.join("/") }
}

/// Finds the shortest way from a file back to itself; the circle begins with its least name, so that each is found once.
fn way_back(start: &Module, edges: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut before: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut reached = vec![start];
    let mut at = 0;
    while let Some(from) = reached.get(at).copied() {
        at += 1;
        for to in edges.get(from).into_iter().flatten() {
            if to == start {
                let mut circle = vec![from.clone()];
                while let Some(previous) = before.get(circle.last().unwrap()) {
                    circle.push((*previous).clone());
                }
                circle.reverse();
                let least = circle.iter().enumerate().min_by_key(|(_, module)| *module).unwrap().0;
                circle.rotate_left(least);
                circle.push(circle[0].clone());
                return Some(circle);
            }
            if to != start && !before.contains_key(to) {
                before.insert(to, from);
                reached.push(to);
            }
        }
    }
    None
}

fn uses(module: &Module, file: &File, files: &BTreeMap<Module, File>) -> BTreeSet<Module> {
    let imported = file
        .imports
        .iter()
        .filter(|(name, import)| !import.passed_on || file.words.contains(*name))
        .map(|(_, import)| (&import.path, true));
    let mut found = BTreeSet::new();
    for (path, imports) in imported.chain(file.paths.iter().map(|path| (path, false))) {
        match resolve(module, path, files, 0) {
            // The path that goes on from an imported module says what of it is used.
            Some((_, false)) if imports => {}
            Some((target, _)) if target != *module => {
                found.insert(target);
            }
            _ => {}
        }
    }
    found
}

/// Finds the file that defines what a path names, and whether that is an item of it (or the file's module itself).
fn resolve(
    from: &Module,
    path: &[String],
    files: &BTreeMap<Module, File>,
    depth: usize,
) -> Option<(Module, bool)> {
    // Names that are passed on in a circle are none of ours.
    if depth > 8 {
        return None;
    }
    let mut at = from.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            at.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|word| word == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        first => {
            let mut child = from.clone();
            child.push(first.to_owned());
            if !files.contains_key(&child) {
                let import = files.get(from)?.imports.get(first)?;
                // A name of another crate, or of this file.
                if import.path.first().is_some_and(|word| word == first) {
                    return None;
                }
                let full: Vec<String> = import.path.iter().chain(&path[1..]).cloned().collect();
                return resolve(from, &full, files, depth + 1);
            }
        }
    }
    while let Some((first, after)) = rest.split_first() {
        let mut child = at.clone();
        child.push(first.clone());
        if files.contains_key(&child) {
            (at, rest) = (child, after);
            continue;
        }
        let passed = files.get(&at).and_then(|file| file.imports.get(first));
        return match passed {
            Some(import) if import.path.first().is_some_and(|word| word != first) => {
                let full: Vec<String> = import.path.iter().chain(after).cloned().collect();
                resolve(&at, &full, files, depth + 1)
            }
            _ => Some((at, true)),
        };
    }
    Some((at, false))
}

fn load(folder: &Path) -> BTreeMap<Module, File> {
    let mut paths = Vec::new();
    crate::rust_files(folder, &mut paths);
    let library = folder.join("lib.rs").exists();
    let mut files = BTreeMap::new();
    for path in paths {
        let mut module: Module = path
            .strip_prefix(folder)
            .map(PathBuf::from)
            .unwrap()
            .with_extension("")
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        let is_test = module.iter().any(|part| part == "tests");
        // Beside a library the program is another crate.
        let is_program = *module == ["main"] && library;
        if is_test || is_program || module.iter().any(|part| part == "bin") {
            continue;
        }
        if module.last().is_some_and(|part| ["mod", "lib", "main"].contains(&part.as_str())) {
            module.pop();
        }
        files.insert(module, read(&std::fs::read_to_string(&path).unwrap()));
    }
    files
}

fn read(text: &str) -> File {
    let tokens = without_tests(&tokens(text));
    let mut file = File { imports: BTreeMap::new(), paths: Vec::new(), words: BTreeSet::new() };
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            let passed_on = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            at += 1;
            at = import(&tokens, at, &[], passed_on, &mut file.imports) + 1;
            continue;
        }
        if !is_word(&tokens[at]) {
            at += 1;
            continue;
        }
        let mut path = vec![tokens[at].clone()];
        while at + 2 < tokens.len() && tokens[at + 1] == "::" && is_word(&tokens[at + 2]) {
            path.push(tokens[at + 2].clone());
            at += 2;
        }
        file.words.insert(path[0].clone());
        if path.len() > 1 {
            file.paths.push(path);
        }
        at += 1;
    }
    file
}

/// Reads one tree of a `use`; returns where it ends.
fn import(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    passed_on: bool,
    imports: &mut BTreeMap<String, Import>,
) -> usize {
    let mut path = prefix.to_vec();
    while at < tokens.len() {
        match tokens[at].as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = import(tokens, at, &path, passed_on, imports);
                    at += usize::from(tokens[at] == ",");
                }
                return at + 1;
            }
            // All of a module: counts as itself.
            "*" => {
                let name = format!("{}::*", path.join("::"));
                path.push("*".to_owned());
                imports.insert(name, Import { path, passed_on });
                return at + 1;
            }
            "as" => {
                imports.insert(tokens[at + 1].clone(), Import { path, passed_on });
                return at + 2;
            }
            word if is_word(word) => {
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                at += 1;
            }
            _ => break,
        }
    }
    if let Some(name) = path.last().cloned() {
        imports.insert(name, Import { path, passed_on });
    }
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Leaves out each item behind `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().zip(marker).filter(|(a, b)| *a == b).count() < marker.len() {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += marker.len();
        let mut depth = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            let ended = depth == 0 && ["}", ";", ","].contains(&tokens[at].as_str());
            at += 1;
            if ended {
                break;
            }
        }
    }
    kept
}

/// Splits code into words, `::` and single signs; comments, texts and numbers are left out.
fn tokens(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&first) = text.get(at) {
        let next = text.get(at + 1).copied();
        match first {
            '/' if next == Some('/') => at = skip_to(&text, at, '\n'),
            '"' => at = end_of_text(&text, at + 1),
            'r' if raw_hashes(&text, at).is_some() => at = end_of_raw_text(&text, at),
            '\'' if next == Some('\\') || text.get(at + 2) == Some(&'\'') => {
                at = skip_to(&text, at + 3, '\'').max(at + 2) + 1;
                if text.get(at - 1) != Some(&'\'') {
                    at -= 1;
                }
            }
            ':' if next == Some(':') => {
                tokens.push("::".to_owned());
                at += 2;
            }
            c if c.is_alphanumeric() || c == '_' => {
                let len = text[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_');
                let word: String = len.collect();
                at += word.chars().count();
                if is_word(&word) {
                    tokens.push(word);
                }
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                at += 1;
            }
        }
    }
    tokens
}

fn skip_to(text: &[char], from: usize, end: char) -> usize {
    (from..text.len()).find(|at| text[*at] == end).unwrap_or(text.len())
}

fn end_of_text(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_hashes(text: &[char], at: usize) -> Option<usize> {
    let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
    let begins = at == 0 || !(text[at - 1].is_alphanumeric() && text[at - 1] != 'b');
    (begins && text.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn end_of_raw_text(text: &[char], at: usize) -> usize {
    let hashes = raw_hashes(text, at).unwrap_or(0);
    let mut end = at + hashes + 2;
    while end < text.len() {
        let closes = text[end] == '"' && text[end + 1..].iter().take(hashes).all(|c| *c == '#');
        if closes {
            return end + 1 + hashes;
        }
        end += 1;
    }
    end
}

//! What users of the client see: listed in surface.txt, so that it never changes by accident, and shown in examples.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Path and text of every file of the client, without its tests.
fn sources() -> Vec<(String, String)> {
    let folder = Path::new(ROOT).join("src/client");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        (path.strip_prefix(&folder).unwrap().display().to_string(), text)
    };
    files(&folder).into_iter().map(read).collect()
}

/// Declarations that are public, one a line, bodies left out. The sources are as rustfmt leaves them.
fn declarations(text: &str, is_public: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let (mut attributes, mut subject, mut pending, mut in_type) = (Vec::new(), None, String::new(), false);
    for line in text.lines() {
        let words = line.trim();
        if line.starts_with('}') {
            (subject, in_type) = (None, false);
        } else if words.starts_with("#[derive(")
            || words == "#[non_exhaustive]"
            || words.starts_with("#[cfg(")
        {
            attributes.push(words.to_owned());
            continue;
        } else if pending.is_empty() && line.starts_with("impl") && line.ends_with('{') {
            let header = line.trim_end_matches(" {").to_owned();
            match header.split_once(" for ") {
                Some((_, name)) if is_public(name) && !header.contains("impl Drop") => found.push(header),
                Some(_) => {}
                None => subject = Some(header),
            }
        } else if !pending.is_empty()
            || words.starts_with("pub ")
            || (in_type && !words.starts_with(['/', '#', '}']))
        {
            pending = format!("{pending} {words}").trim().to_owned();
            let is_item = ["fn ", "async fn ", "struct ", "enum ", "trait ", "use ", "const ", "mod "]
                .iter()
                .any(|kind| pending.strip_prefix("pub ").unwrap_or(&pending).starts_with(kind));
            if words.ends_with(['{', ';']) || (!is_item && words.ends_with(',')) {
                found.extend(subject.take());
                found.append(&mut attributes);
                in_type |= ["pub enum", "pub trait"].iter().any(|kind| pending.starts_with(kind));
                found.push(std::mem::take(&mut pending).trim_end_matches([' ', '{', ';', ',']).to_owned());
            }
        }
        if !words.starts_with("///") && !words.starts_with("#[") {
            attributes.clear();
        }
    }
    found
}

#[test]
fn the_public_surface_is_as_listed() {
    let sources = sources();
    let types: BTreeSet<&str> = sources
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")))
        .filter_map(|rest| rest.split([' ', '<', '(', ';']).next())
        .collect();
    let mut listed = String::new();
    for (path, text) in &sources {
        let found = declarations(text, |name| types.contains(name.split('<').next().unwrap_or(name)));
        if !found.is_empty() {
            listed.push_str(&format!("# {path}\n{}\n\n", found.join("\n")));
        }
    }
    let list = Path::new(ROOT).join("tests/client/surface.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&list, &listed).unwrap();
    }
    let known = fs::read_to_string(&list).unwrap_or_default();
    let changed: Vec<_> = listed.lines().filter(|line| !known.contains(line)).collect();
    assert!(
        listed == known,
        "the surface changed: {changed:#?}\nBLESS=1 cargo test lists it anew; is it a breaking change?"
    );
}

/// Code of examples that the compiler sees: in the documentation, and under examples/.
fn examples() -> String {
    let mut code = String::new();
    for (_, text) in sources() {
        let mut is_code = false;
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("//")) {
            let line = line.trim_start_matches(['/', '!']);
            is_code ^= line.trim().starts_with("```");
            code.push_str(if is_code { line } else { "" });
            code.push('\n');
        }
    }
    let programs = files(&Path::new(ROOT).join("examples"));
    code.extend(programs.into_iter().map(|path| fs::read_to_string(path).unwrap()));
    code
}

#[test]
fn every_public_item_is_shown_in_an_example() {
    let examples = examples();
    let mut missing = Vec::new();
    for (path, text) in sources() {
        for line in declarations(&text, |_| false) {
            let Some(item) = line.strip_prefix("pub ") else { continue };
            let item = item.strip_prefix("async ").unwrap_or(item);
            let Some((kind, rest)) = item.split_once(' ') else { continue };
            let name = rest.split(['(', '<', ' ', ':', ';']).next().unwrap_or_default();
            let is_shown = match kind {
                "fn" => [".", "::"].iter().any(|before| examples.contains(&format!("{before}{name}("))),
                "struct" | "enum" | "trait" | "const" => has_example(&text, &format!("pub {kind} {name}")),
                _ => true,
            };
            if !is_shown {
                missing.push(format!("{path}: {kind} {name}"));
            }
        }
    }
    assert_eq!(missing, [] as [String; 0]);
}

/// Whether the documentation in front of a declaration holds code.
fn has_example(text: &str, declaration: &str) -> bool {
    let Some((before, _)) = text.split_once(declaration) else { return false };
    before
        .lines()
        .rev()
        .take_while(|line| line.starts_with("//") || line.starts_with("#["))
        .any(|line| line.contains("```"))
}

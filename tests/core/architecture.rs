//! The rules of `ARCHITECTURE.md` that the compiler does not know: which folder may import which,
//! what the core may not name, how long a file and a function may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which folders a file in one may import, beside the leaf files.
const ARROWS: [(&str, &[&str]); 8] = [
    ("ai", &[]),
    ("auth", &[]),
    // The tick's refusals are worded by the protocols, and calls between objects name theirs.
    (
        "edge",
        &["ai", "auth", "home", "http", "queue", "room", "wire"],
    ),
    ("home", &["wire"]),
    ("http", &[]),
    ("queue", &[]),
    ("room", &[]),
    ("wire", &[]),
];

/// Leaf files that have grown into a folder.
const LEAVES: [&str; 3] = ["config", "id", "message"];

const LINES_MAX: usize = 350;
const FUNCTION_LINES_MAX: usize = 70;

struct Source {
    path: String,
    /// Without what is compiled for tests only.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let source = |path: PathBuf| Source {
        code: without_tests(&fs::read_to_string(&path).unwrap()),
        path: path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned(),
    };
    let all: Vec<Source> = files.into_iter().map(source).collect();
    assert!(all.len() > 50, "the sources are found");
    all.into_iter()
        .filter(|source| !is_test(&source.path))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// Cuts out every item behind `#[cfg(test)]`: a line, or a block up to the brace at its indent.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code += line;
            code += "\n";
            continue;
        }
        let end = line.replace("#[cfg(test)]", "}");
        if lines.next().is_some_and(|item| item.ends_with('{')) {
            let _block = lines.by_ref().find(|line| *line == end);
        }
    }
    code
}

/// The folder whose arrows hold for a file; none for a leaf.
fn folder(path: &str) -> Option<&str> {
    let (folder, _) = path.split_once('/')?;
    (!LEAVES.contains(&folder)).then_some(folder)
}

/// The modules of this crate that a text names, comments aside.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        for after in line.split("crate::").skip(1) {
            let name: String = after
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if name.is_empty() {
                // `crate::{a, b::c}`.
                let inner = after
                    .trim_start_matches('{')
                    .split('}')
                    .next()
                    .unwrap_or_default();
                found.extend(
                    inner
                        .split(',')
                        .map(|one| one.trim().split("::").next().unwrap().to_owned()),
                );
            } else {
                found.insert(name);
            }
        }
    }
    found
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn imports_run_one_way() {
    let folders: BTreeSet<&str> = ARROWS.iter().map(|(folder, _)| *folder).collect();
    let mut wrong = Vec::new();
    for Source { path, code } in sources() {
        let own = folder(&path);
        let allowed = match own {
            Some(own) => {
                let known = ARROWS.iter().find(|(folder, _)| *folder == own);
                known
                    .unwrap_or_else(|| panic!("{own} has no row in ARROWS"))
                    .1
            }
            None => &[],
        };
        for import in imports(&code) {
            let is_folder = folders.contains(import.as_str());
            if is_folder && Some(import.as_str()) != own && !allowed.contains(&import.as_str()) {
                wrong.push(format!("src/{path} imports {import}"));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn the_core_does_not_know_the_platform() {
    let mut wrong = Vec::new();
    for Source { path, code } in sources() {
        // What of the edge is compiled on the host is held to it by the compiler as well.
        if folder(&path) == Some("edge") {
            continue;
        }
        for line in code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for name in ["worker::", "js_sys", "wasm_bindgen", "web_sys"] {
                if line.contains(name) {
                    wrong.push(format!("src/{path} names {name}: {}", line.trim()));
                }
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for Source { path, code } in sources() {
        let lines = code.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("src/{path} has {lines} lines"));
        }
        let mut begun: Option<(usize, String)> = None;
        for (n, line) in code.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let word = line.trim_start();
            let is_function = (word.starts_with("fn ") || word.contains(" fn "))
                && ["fn", "pub", "const", "async", "unsafe", "extern"]
                    .iter()
                    .any(|begin| word.starts_with(begin));
            if is_function && line.ends_with(['{', '(']) {
                begun = Some((n, " ".repeat(indent) + "}"));
            }
            if let Some((from, end)) = &begun
                && line == end
            {
                // As clippy counts: what stands between the braces.
                if n - from - 1 > FUNCTION_LINES_MAX {
                    let name = code.lines().nth(*from).unwrap().trim();
                    wrong.push(format!("src/{path}: {} lines: {name}", n - from - 1));
                }
                begun = None;
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.code.starts_with("//!"));
    assert_none(
        silent
            .map(|source| format!("src/{} has no //!", source.path))
            .collect(),
    );
}

/// A file of the edge is either free of the platform or compiled for it alone.
#[test]
fn what_needs_the_platform_is_compiled_for_it_alone() {
    let sources = sources();
    let module = sources
        .iter()
        .find(|source| source.path == "edge/mod.rs")
        .unwrap();
    let mut gated = BTreeSet::new();
    let mut free = BTreeSet::new();
    let mut before = "";
    for line in module.code.lines() {
        let declared = line.trim_start_matches("pub ").strip_prefix("mod ");
        if let Some(name) = declared.and_then(|rest| rest.strip_suffix(';')) {
            let is_gated = before.starts_with("#[cfg(target_arch = \"wasm32\")]");
            if is_gated { &mut gated } else { &mut free }.insert(name.to_owned());
        }
        before = line;
    }
    let mut wrong = Vec::new();
    for Source { path, code } in &sources {
        let Some(name) = path
            .strip_prefix("edge/")
            .and_then(|path| path.strip_suffix(".rs"))
        else {
            continue;
        };
        let name = name.split('/').next().unwrap();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let names: Vec<&str> = code
            .filter(|line| {
                ["worker::", "js_sys", "wasm_bindgen", "web_sys"]
                    .iter()
                    .any(|name| line.contains(name))
            })
            .collect();
        if name == "mod" {
            continue;
        }
        if !free.contains(name) && !gated.contains(name) {
            wrong.push(format!("src/{path} is declared nowhere"));
        }
        if free.contains(name) && !names.is_empty() {
            wrong.push(format!(
                "src/{path} is compiled on the host and has {}",
                names[0].trim()
            ));
        }
    }
    assert_none(wrong);
}

//! Sentences of a message, whose text may be markdown, a log or just chat.
//!
//! Refuses to know what they are for. Two steps: lines make blocks (a paragraph, a list item, a
//! heading, a line of code), blocks make sentences. A text is never refused and nothing of it is
//! lost but white space and the marks of its blocks.

/// A sentence on one line, and whether it is a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    pub text: String,
    pub heading: bool,
}

pub fn sentences(text: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut block = String::new();
    let mut code = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") || line.starts_with("~~~") {
            end_block(&mut block, &mut found);
            code = !code;
        } else if code {
            push(line, false, &mut found);
        } else if let Some(heading) = heading(line) {
            end_block(&mut block, &mut found);
            push(heading, true, &mut found);
        } else if line.chars().all(|c| "-=*_|: ".contains(c)) {
            // Blank, a rule, an underlined heading's line, or the line below a table's head.
            end_block(&mut block, &mut found);
        } else if let Some(item) = item(line) {
            end_block(&mut block, &mut found);
            block.push_str(item);
        } else {
            if !block.is_empty() {
                block.push(' ');
            }
            block.push_str(line.trim_start_matches(['>', ' ']));
        }
    }
    end_block(&mut block, &mut found);
    found
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (1..=6)
        .contains(&(line.len() - text.len()))
        .then(|| text.strip_prefix(' '))
        .flatten()
}

/// What follows the mark of a list item, or stands between the outer bars of a table's row.
fn item(line: &str) -> Option<&str> {
    if let Some(row) = line.strip_prefix('|') {
        return Some(row.trim_end_matches('|').trim());
    }
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = match line.len() - number.len() {
        0 => line.strip_prefix(['-', '*', '+', '•']),
        1..=3 => number.strip_prefix(['.', ')']),
        _ => None,
    };
    rest?.strip_prefix(' ').map(str::trim_start)
}

fn end_block(block: &mut String, found: &mut Vec<Sentence>) {
    let text = super::one_line(block);
    block.clear();
    let mut start = 0;
    for end in ends(&text) {
        let sentence = text.get(start..end).unwrap_or_default();
        // "**Presence.** A sign of life …": the title stays with what it is the title of.
        if start == 0 && sentence.starts_with("**") && sentence.ends_with("**") {
            continue;
        }
        push(sentence, false, found);
        start = end;
    }
    push(text.get(start..).unwrap_or_default(), false, found);
}

/// Keeps a sentence; one without end is cut where a word ends.
fn push(text: &str, heading: bool, found: &mut Vec<Sentence>) {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let mut end = rest.floor_char_boundary(SENTENCE_MAX_BYTES);
        if end < rest.len() {
            let within = rest.get(..end).unwrap_or_default();
            end = within.rfind(' ').filter(|at| *at > 0).unwrap_or(end);
        }
        let (text, tail) = rest.split_at(end);
        found.push(Sentence {
            text: text.to_owned(),
            heading,
        });
        rest = tail.trim_start();
    }
}

/// Where sentences end in a block that stands on one line: behind the mark and what closes with
/// it, at the space.
fn ends(block: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut chars = block.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            // Code is no prose: nothing ends between a pair of backticks.
            '`' => {
                let close = block.get(at + 1..).and_then(|rest| rest.find('`'));
                while close
                    .is_some_and(|length| chars.peek().is_some_and(|it| it.0 <= at + 1 + length))
                {
                    chars.next();
                }
            }
            '。' | '！' | '？' => ends.push(at + c.len_utf8()),
            '.' | '!' | '?' | '…' => {
                let mut closed = false;
                while let Some((_, next)) = chars.peek() {
                    let mark = ".!?…".contains(*next);
                    if !mark && !CLOSERS.contains(next) {
                        break;
                    }
                    closed |= !mark;
                    chars.next();
                }
                let Some((end, ' ')) = chars.peek().copied() else {
                    continue;
                };
                let rest = block.get(end + 1..).unwrap_or_default();
                let mark = if block.get(at..).is_some_and(|it| it.starts_with("..")) {
                    '…'
                } else {
                    c
                };
                if is_end(block.get(..at).unwrap_or_default(), mark, closed, rest) {
                    ends.push(end);
                }
            }
            _ => {}
        }
    }
    ends
}

/// Whether `mark`, between `before` and a space, ends a sentence.
fn is_end(before: &str, mark: char, closed: bool, rest: &str) -> bool {
    // What opens a sentence is a mark or two, not a line of them.
    let next = rest.chars().take(4).find(|c| c.is_alphanumeric());
    let goes_on = next.is_some_and(char::is_lowercase);
    if mark != '.' {
        // "(really?) and on" goes on; "really? and on" is how people chat.
        return !(goes_on && (closed || mark == '…'));
    }
    let written = before
        .rsplit([' ', '(', '[', '"', '“', '/'])
        .next()
        .unwrap_or_default();
    let lower = written.to_lowercase();
    let word = lower.as_str();
    let mut letters = word
        .split('.')
        .map(|part| part.chars().filter(|c| c.is_alphabetic()).count());
    if NEVER_LAST.contains(&word) || closed && goes_on {
        return false;
    }
    if BEFORE_NUMBER.contains(&word) {
        return !next.is_some_and(char::is_numeric);
    }
    if word.contains('.') && letters.all(|count| count == 1) && word.len() < 8 {
        return !goes_on; // "p.m", "U.S"
    }
    let mut chars = written.chars();
    if let (Some(initial), None) = (chars.next(), chars.next())
        && initial.is_uppercase()
    {
        return false;
    }
    !(goes_on && SELDOM_LAST.contains(&word))
}

/// A message may be one endless sentence; a quote may not.
const SENTENCE_MAX_BYTES: usize = 600;
const CLOSERS: [char; 10] = ['"', '\'', '”', '’', '»', ')', ']', '*', '_', '`'];
/// Abbreviations that stand before what they belong to.
const NEVER_LAST: [&str; 15] = [
    "cf", "dr", "dra", "e.g", "eg", "i.e", "ie", "mr", "mrs", "ms", "p.ej", "prof", "sr", "sra",
    "vs",
];
/// Abbreviations that end a sentence only when another begins.
const SELDOM_LAST: [&str; 8] = ["al", "approx", "aprox", "ca", "ej", "etc", "incl", "max"];
/// Words that are abbreviations only before a number.
const BEFORE_NUMBER: [&str; 9] = ["cap", "ch", "fig", "no", "núm", "p", "pp", "sec", "vol"];

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        sentences(text)
            .into_iter()
            .map(|sentence| sentence.text)
            .collect()
    }

    #[test]
    fn prose() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("no end", &["no end"]),
            ("One. Two! Three? Four", &["One.", "Two!", "Three?", "Four"]),
            ("works! great. now go", &["works!", "great.", "now go"]),
            (
                "See error.rs and v1.2.3. It costs 3.14 or so.",
                &["See error.rs and v1.2.3.", "It costs 3.14 or so."],
            ),
            (
                "Queues, e.g. Cloudflare's, wait. Others don't.",
                &["Queues, e.g. Cloudflare's, wait.", "Others don't."],
            ),
            (
                "Rooms, jobs, etc. are rows. Rows, etc. They stay.",
                &["Rooms, jobs, etc. are rows.", "Rows, etc.", "They stay."],
            ),
            (
                "Dr. Ruiz and J. Smith met. p.ej. aquí.",
                &["Dr. Ruiz and J. Smith met.", "p.ej. aquí."],
            ),
            (
                "At 5 p.m. we go. It is 5 p.m. We go.",
                &["At 5 p.m. we go.", "It is 5 p.m.", "We go."],
            ),
            (
                "See no. 5. I said no. Then left.",
                &["See no. 5.", "I said no.", "Then left."],
            ),
            (
                "Wait... what? Wait... What?",
                &["Wait... what?", "Wait...", "What?"],
            ),
            (
                "“Stop.” He went (why?) and “left.” Then (he did.) So",
                &[
                    "“Stop.”",
                    "He went (why?) and “left.”",
                    "Then (he did.)",
                    "So",
                ],
            ),
            (
                "Run `make dev. Or not` here. Done.",
                &["Run `make dev. Or not` here.", "Done."],
            ),
            ("One ` alone. Two.", &["One ` alone.", "Two."]),
            ("¿Qué tal? ¡Bien! Sí.", &["¿Qué tal?", "¡Bien!", "Sí."]),
            ("これは文。次の文！終", &["これは文。", "次の文！", "終"]),
            (
                "**Bold.** Then https://a.b/c?d=e. **So.** End.",
                &["**Bold.** Then https://a.b/c?d=e.", "**So.**", "End."],
            ),
            ("**Bold.**", &["**Bold.**"]),
            ("...", &["..."]),
        ];
        for (text, expected) in table {
            assert_eq!(split(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn markdown() {
        let text = "# Title\nA paragraph\nover lines. Second.\n\nAnother\n- item one. More\n  of \
            it\n\
            * item two\n10. ten\n> quoted\n> text\n\n| a | b |\n| --- | --- |\n| c | d. E |\n\
            ```sh\nmake dev. Now\n\n# comment\n```\nafter\n===\n#hashtag -5 degrees";
        let expected = [
            "Title",
            "A paragraph over lines.",
            "Second.",
            "Another",
            "item one.",
            "More of it",
            "item two",
            "ten quoted text",
            "a | b",
            "c | d.",
            "E",
            "make dev. Now",
            "# comment",
            "after",
            "#hashtag -5 degrees",
        ];
        assert_eq!(split(text), expected);
        let headings = sentences(text)
            .into_iter()
            .filter(|sentence| sentence.heading)
            .count();
        assert_eq!(headings, 1);
    }

    #[test]
    fn endless_sentences_are_cut() {
        for text in ["word ".repeat(1000), "é".repeat(3000), "a. ".repeat(1000)] {
            let found = split(&text);
            assert!(
                found
                    .iter()
                    .all(|it| it.len() <= SENTENCE_MAX_BYTES && !it.is_empty())
            );
            let kept: String = found.concat().split_whitespace().collect();
            assert_eq!(kept, text.split_whitespace().collect::<String>());
        }
    }
}

//! Words of a text, as a search compares them: lower case, without accents, stop words and
//! endings. English and Spanish have rules; other languages are compared as they are written.
//!
//! Refuses to know what is searched. A pure function; the same text gives the same words.

/// The words that mean something, in order.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase).map(plain) {
        if is_ideograph(c) {
            // Written without spaces: each is a word of its own.
            keep(&mut word, &mut found);
            found.push(c.to_string());
        } else if c.is_alphanumeric() {
            word.push(c);
        } else if !is_combining(c) {
            keep(&mut word, &mut found);
        }
    }
    keep(&mut word, &mut found);
    found
}

fn keep(word: &mut String, found: &mut Vec<String>) {
    let word = std::mem::take(word);
    if !word.is_empty() && STOP.binary_search(&word.as_str()).is_err() {
        found.push(stem(word));
    }
}

/// Plurals and the commonest endings of verbs, so that "retries", "retried" and "retrying" meet
/// "retry", and "mensajes" meets "mensaje". What comes out need not be a word.
fn stem(mut word: String) -> String {
    if word.len() < 4 || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return word;
    }
    if word.len() > 4 && (word.ends_with("ies") || word.ends_with("ied")) {
        word.truncate(word.len() - 3);
        word.push('y');
        return word;
    }
    if word.ends_with('s') && !["ss", "us", "is"].iter().any(|end| word.ends_with(end)) {
        word.pop();
    }
    for ending in ["ing", "ed"] {
        let Some(root) = word.strip_suffix(ending) else {
            continue;
        };
        if root.len() >= 3 && root.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
            word.truncate(root.len());
            let mut last = word.chars().rev();
            // "stopped" is "stop", but "called" is "call" and "passed" is "pass".
            if let (Some(a), Some(b)) = (last.next(), last.next())
                && a == b
                && !"aeiousl".contains(a)
            {
                word.pop();
            }
            break;
        }
    }
    if word.len() > 3 && word.ends_with('e') {
        word.pop();
    }
    word
}

/// Without the accents people leave out when they are in a hurry.
fn plain(c: char) -> char {
    match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    }
}

fn is_combining(c: char) -> bool {
    ('\u{300}'..='\u{36F}').contains(&c)
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{20000}'..='\u{323AF}')
}

/// Sorted, in the form they have after [`plain`]. Single letters are what apostrophes leave.
#[rustfmt::skip]
const STOP: [&str; 210] = [
    "a", "about", "al", "algo", "alguien", "algun", "also", "am", "an", "and", "ante", "any",
    "anyone", "aqui", "are", "as", "asi", "at", "aun", "aunque", "be", "because", "been", "being",
    "but", "by", "cada", "can", "como", "con", "could", "cual", "cuales", "cuando", "cuanta",
    "cuantas", "cuanto", "cuantos", "d", "de", "decir", "del", "desde", "did", "dime", "do", "does",
    "doing", "donde", "done", "e", "el", "ella", "ellas", "ellos", "en", "entre", "era", "eran",
    "es", "esa", "esas", "ese", "eso", "esos", "esta", "estan", "estas", "este", "esto", "estos",
    "for", "from", "fue", "get", "gets", "give", "ha", "had", "han", "has", "hasta", "have",
    "having", "hay", "he", "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "it",
    "its", "just", "know", "la", "las", "le", "les", "let", "like", "ll", "lo", "los", "m", "mas",
    "me", "mi", "mis", "muy", "my", "ni", "no", "nor", "nos", "not", "o", "of", "on", "or", "os",
    "otra", "otro", "our", "out", "para", "pero", "please", "por", "porque", "puede", "pueden",
    "que", "quien", "quienes", "re", "s", "se", "ser", "she", "should", "si", "sin", "so", "sobre",
    "some", "someone", "something", "son", "su", "such", "sus", "t", "tambien", "te", "tell",
    "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
    "tiene", "to", "too", "tu", "tus", "un", "una", "unas", "uno", "unos", "us", "use", "used",
    "uses", "using", "ve", "very", "was", "we", "were", "what", "when", "where", "which", "while",
    "who", "whom", "whose", "why", "will", "with", "would", "y", "ya", "yes", "yo", "you", "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_sorted_and_plain() {
        assert!(STOP.is_sorted());
        for word in STOP {
            assert!(word.chars().all(|c| c.is_ascii_lowercase()), "{word}");
        }
    }

    #[test]
    fn forms_of_a_word_meet() {
        for group in [
            &["retry", "retries", "retried", "retrying"][..],
            &["message", "messages", "MESSAGES"],
            &["cache", "caches", "cached", "caching"],
            &["stop", "stops", "stopped", "stopping"],
            &["call", "calls", "called", "calling"],
            &["process", "processes", "processed"],
            &["sesión", "sesiones", "sesion", "sesio\u{301}n"],
            &["mensaje", "mensajes"],
            &["año", "anos"],
        ] {
            let stems: Vec<_> = group.iter().map(|word| words(word)).collect();
            assert!(
                stems
                    .iter()
                    .all(|stem| *stem == stems[0] && stem.len() == 1),
                "{stems:?}"
            );
        }
        for (a, b) in [
            ("status", "stat"),
            ("string", "str"),
            ("id", "ids9"),
            ("red", "r"),
        ] {
            assert_ne!(words(a), words(b));
        }
    }

    #[test]
    fn texts() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("Who is it?", &[]),
            ("¿Qué es esto?", &[]),
            (
                "Don't panic, it's Ana's `error.rs`!",
                &["don", "panic", "ana", "error", "rs"],
            ),
            ("AI_MAX_TOKENS=256", &["ai", "max", "token", "256"]),
            ("漢字 is かな", &["漢", "字", "か", "な"]),
            ("Привет МИР", &["привет", "мир"]),
            ("👩‍👩‍👧 \u{FFFD}", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text), *expected, "{text:?}");
        }
    }
}

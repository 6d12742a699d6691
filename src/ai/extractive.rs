//! The provider that is always there: answers with the sentences of the room that fit the
//! question best, and who wrote them. Offline, deterministic, and honest when it finds nothing.
//!
//! BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) over the sentences
//! of people's messages. Refuses to know anything but the messages it is given: it quotes, it
//! never writes a sentence of its own.

use std::collections::{HashMap, HashSet};

use super::sentence::sentences;
use super::word::words;
use super::{Answer, Question, Turn};

pub fn answer(question: &Question) -> Answer {
    let query = Query::new(&question.prompt);
    let candidates: Vec<Candidate> = question
        .others()
        .filter(|turn| !turn.ai)
        .flat_map(|turn| candidates(turn, &query))
        .collect();
    let quotes: Vec<String> = best(&query, &candidates)
        .map(|it| format!("{}: “{}”", it.turn.author(), it.text))
        .collect();
    let text = if quotes.is_empty() {
        NOTHING.to_owned()
    } else {
        quotes.join("\n")
    };
    Answer {
        text,
        model: MODEL.to_owned(),
    }
}

/// A text in pieces of a few words, for streaming what is already there. Together they are it.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, tail) = rest.split_at(piece_end(rest));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Behind the white space after the fifth word; within a word only where it is endless.
fn piece_end(text: &str) -> usize {
    let (mut count, mut in_word) = (0, false);
    for (at, c) in text.char_indices() {
        if !in_word && !c.is_whitespace() {
            if count == PIECE_WORDS {
                return at;
            }
            count += 1;
        }
        in_word = !c.is_whitespace();
        if at >= PIECE_MAX_BYTES {
            return at;
        }
    }
    text.len()
}

/// The question's words, each once and with a number.
struct Query {
    /// The question itself, to know it again.
    letters: String,
    index: HashMap<String, usize>,
}

struct Candidate<'a> {
    turn: &'a Turn,
    text: String,
    /// Words in it.
    length: usize,
    /// By word of the question: how often it is here, a heading above counting half.
    counts: Vec<(usize, f64)>,
    /// It asks; an answer it is not likely to be.
    asks: bool,
}

impl Query {
    fn new(prompt: &str) -> Query {
        let mut index = HashMap::new();
        for word in words(prompt) {
            let next = index.len();
            index.entry(word).or_insert(next);
        }
        Query {
            letters: letters(prompt),
            index,
        }
    }

    fn count(&self, words: &[String], weight: f64, counts: &mut HashMap<usize, f64>) {
        for at in words.iter().filter_map(|word| self.index.get(word)) {
            *counts.entry(*at).or_default() += weight;
        }
    }
}

/// A text without case, spaces and marks.
fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// The sentences of a message. A heading lends its words to what stands below it, and is a
/// sentence itself only where nothing does.
fn candidates<'a>(turn: &'a Turn, query: &Query) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    let mut above: Vec<String> = Vec::new();
    let mut sentences = sentences(&turn.text).into_iter().peekable();
    while let Some(sentence) = sentences.next() {
        let words = words(&sentence.text);
        if sentence.heading && sentences.peek().is_some_and(|next| !next.heading) {
            above = words;
            continue;
        }
        // Who asks the same again has not answered.
        if words.is_empty() || letters(&sentence.text) == query.letters {
            continue;
        }
        let mut counts = HashMap::new();
        query.count(&words, 1.0, &mut counts);
        query.count(&above, 0.5, &mut counts);
        let mut counts: Vec<(usize, f64)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(at, _)| *at); // sums in one order are the same sums
        let asks = sentence
            .text
            .trim_end_matches(['"', '”', ')', '*', '_'])
            .ends_with(['?', '？']);
        found.push(Candidate {
            turn,
            text: sentence.text,
            length: words.len(),
            counts,
            asks,
        });
    }
    found
}

/// The few best, in the order of the room.
fn best<'c, 'a>(
    query: &Query,
    candidates: &'c [Candidate<'a>],
) -> impl Iterator<Item = &'c Candidate<'a>> + use<'c, 'a> {
    let mut having = vec![0_usize; query.index.len()];
    for (at, _) in candidates.iter().flat_map(|it| &it.counts) {
        if let Some(having) = having.get_mut(*at) {
            *having += 1;
        }
    }
    let total = candidates.len() as f64;
    // A word nobody wrote weighs like one written once: much, but a room can't be too small.
    let weigh = |having: usize| {
        let having = having.max(1) as f64;
        (1.0 + (total - having + 0.5) / (having + 0.5)).ln()
    };
    let weights: Vec<f64> = having.into_iter().map(weigh).collect();
    let weight = |at: usize| weights.get(at).copied().unwrap_or_default();
    // A long prompt must not make it impossible to say enough of what it says.
    let asked = weights
        .iter()
        .sum::<f64>()
        .min(weigh(1) * LONG_PROMPT_WORDS);
    let mean = candidates.iter().map(|it| it.length).sum::<usize>() as f64 / total;

    let mut seen = HashSet::new();
    let mut ranked: Vec<(f64, usize, &Candidate)> = Vec::new();
    for (at, it) in candidates.iter().enumerate() {
        let covered: f64 = it.counts.iter().map(|(at, _)| weight(*at)).sum();
        if it.counts.is_empty() || covered < asked * COVERED_MIN || !seen.insert(&it.text) {
            continue;
        }
        let norm = K1 * (1.0 - B + B * it.length as f64 / mean);
        let of_word =
            |(at, count): &(usize, f64)| weight(*at) * count * (K1 + 1.0) / (count + norm);
        let score = it.counts.iter().map(of_word).sum::<f64>() * if it.asks { 0.5 } else { 1.0 };
        ranked.push((score, at, it));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = ranked.first().map_or(0.0, |(score, ..)| score * NEAR);
    ranked.retain(|(score, ..)| *score >= near);
    ranked.truncate(QUOTES_MAX);
    ranked.sort_by_key(|(_, at, _)| *at);
    ranked.into_iter().map(|(_, _, it)| it)
}

pub const MODEL: &str = "extractive";
pub const NOTHING: &str = "I found nothing about that in this room yet.";
/// The usual constants of BM25: how soon repetition stops counting, how much length does.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Of the question's weight, a sentence must share this much to be about it.
const COVERED_MIN: f64 = 0.25;
/// A prompt weighs at most like this many rare words.
const LONG_PROMPT_WORDS: f64 = 6.0;
/// A sentence beside the best is quoted when its score is near.
const NEAR: f64 = 0.7;
const QUOTES_MAX: usize = 3;
const PIECE_WORDS: usize = 5;
const PIECE_MAX_BYTES: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(user: &str, text: &str) -> Turn {
        Turn {
            user: user.to_owned(),
            name: None,
            text: text.to_owned(),
            ai: false,
        }
    }

    fn ask(prompt: &str, context: &[Turn]) -> String {
        let (prompt, asker, context) = (prompt.to_owned(), "dan".to_owned(), context.to_vec());
        answer(&Question {
            prompt,
            model: None,
            max_tokens: None,
            asker,
            context,
        })
        .text
    }

    /// Paragraphs of a real document, as three people might paste them.
    fn room() -> Vec<Turn> {
        let tick = "## The tick\nEvery event (frame, close, HTTP request, call from another\n\
            object, alarm) pushes an **input** on the object's inbox (bounded) and schedules one\n\
            `setTimeout(0)` if none is pending. The **tick** drains the inbox: `handle` for each \
            input in order of arrival with its SQL executed at once, inside one transaction.";
        let machines = "Two machines, and no other way to fan out:\n\n\
            - **Home** (`home/`): connections. Session and codec state, signs of life, rates. It \
            encodes an envelope once per protocol and hands that one value to its sockets.\n\
            - **Room** (`room/`): people and messages. Members, presence, log, recovery, jobs. \
            It knows no socket and no protocol.";
        let presence = "**Presence.** Sign of life = the later of the runtime's auto-response \
            timestamp and the one in the attachment: no row per heartbeat. The TTL sweep runs at \
            TTL only while somebody can see the difference, else once a minute. A room of more \
            than 200 people reports counts instead of each.";
        let absent = "No Redis, no broker of our own, no actor framework, no async in the core.";
        let cost = "The dashboard's database is called `metrics.db`. It costs 3.50 EUR a month, \
            e.g. for backups.";
        let spanish = "La sala guarda los mensajes en un registro. Las sesiones caducan a los 30 \
            minutos.";
        vec![
            turn("ana", tick),
            turn("ben", machines),
            turn("cy", presence),
            turn("ben", absent),
            turn("ana", cost),
            turn("cy", spanish),
        ]
    }

    #[test]
    fn quotes_the_right_one() {
        let table = [
            (
                "What drains the inbox?",
                "ana: “The **tick** drains the inbox",
            ),
            (
                "does a heartbeat write a row?",
                "cy: “**Presence.** Sign of life = the later of",
            ),
            (
                "When does a room report counts?",
                "cy: “A room of more than 200 people reports counts",
            ),
            (
                "Which part knows no socket and no protocol?",
                "ben: “It knows no socket and no protocol.”",
            ),
            ("Is Redis needed?", "ben: “No Redis, no broker"),
            ("How much does the dashboard's database cost?", "ana: “"),
            (
                "¿Cuándo caduca una sesión?",
                "cy: “Las sesiones caducan a los 30 minutos.”",
            ),
            (
                "who encodes envelopes",
                "ben: “It encodes an envelope once per protocol",
            ),
        ];
        for (prompt, expected) in table {
            let said = ask(prompt, &room());
            assert!(said.contains(expected), "{prompt}\n{said}");
            assert!(said.lines().count() <= QUOTES_MAX);
        }
    }

    #[test]
    fn says_so_when_there_is_nothing() {
        for prompt in [
            "Who won the world cup?",
            "What is it?",
            "",
            "👍",
            "What is the capital of France?",
        ] {
            assert_eq!(ask(prompt, &room()), NOTHING, "{prompt}");
        }
        assert_eq!(ask("What drains the inbox?", &[]), NOTHING);
        assert_eq!(
            ask("inbox?", &[turn("ana", "…"), turn("ben", "the of")]),
            NOTHING
        );
    }

    #[test]
    fn answers_are_not_questions_nor_earlier_answers() {
        let mut room = vec![
            turn("eve", "Which port does the server use?"),
            turn("dan", "which port does the server use"),
            turn("ana", "The demo server is on port 8787. Lunch?"),
            Turn {
                ai: true,
                ..turn("ai", "The server's port is 1.")
            },
            turn("dan", "Which port does the server use?"),
        ];
        assert_eq!(
            ask("Which port does the server use?", &room),
            "ana: “The demo server is on port 8787.”"
        );
        room.retain(|turn| turn.user != "ana");
        assert_eq!(ask("Which port does the server use?", &room), NOTHING);
    }

    #[test]
    fn a_few_in_the_order_of_the_room() {
        let port = |user: &str, n: u32| turn(user, &format!("The server port is {n} now."));
        let mut context: Vec<Turn> = (0..5).map(|n| port("ana", n)).collect();
        context.push(port("ben", 0));
        context.extend(room());
        let said = ask("server port?", &context);
        let expected = [0, 1, 2].map(|n| format!("ana: “The server port is {n} now.”"));
        assert_eq!(said, expected.join("\n"));
    }

    #[test]
    fn headings_lend_their_words() {
        let context = [
            turn(
                "ana",
                "# Deployment\nRun `make ship` and wait.\n# Testing\nRun `make test`.",
            ),
            turn("ben", "Lunch is at one."),
            turn("cy", "# Holidays"),
        ];
        assert_eq!(
            ask("How does deployment work?", &context),
            "ana: “Run `make ship` and wait.”"
        );
        assert_eq!(ask("when are the holidays?", &context), "cy: “Holidays”");
    }

    #[test]
    fn names_are_shown() {
        let mut named = turn("u1", "The inbox is bounded.");
        named.name = Some("Ana\nLi".to_owned());
        assert_eq!(ask("inbox", &[named]), "Ana Li: “The inbox is bounded.”");
    }

    #[test]
    fn the_same_room_gives_the_same_answer() {
        let prompt = room()
            .iter()
            .map(|turn| turn.text.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        let first = ask(&prompt, &room());
        assert_ne!(first, NOTHING);
        assert!((0..20).all(|_| ask(&prompt, &room()) == first));
    }

    #[test]
    fn pieces_are_the_text() {
        let long = "x".repeat(1000);
        let accents = "é".repeat(300);
        for text in [
            "",
            " ",
            "one",
            " one  two\nthree four five six ",
            &long,
            &accents,
            "a b c d e f g h i j k",
        ] {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert!(
                pieces(text).all(|piece| !piece.is_empty() && piece.len() <= PIECE_MAX_BYTES + 4)
            );
        }
        let cut: Vec<&str> = pieces("a b c d e  f g").collect();
        assert_eq!(cut, ["a b c d e  ", "f g"]);
    }
}

//! The text of one attempt, counted as JavaScript counts it. Knows no job and no storage.
//!
//! Invariants: what is had is a prefix of what the attempt says, it ends between two characters,
//! and it never grows beyond `ANSWER_MAX_BYTES`; what comes beyond is cut and never returns, so
//! that the text has no hole.

use crate::limits::ANSWER_MAX_BYTES;

/// What an attempt has said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    text: String,
    /// Its length in UTF-16 code units.
    units: u64,
}

/// What became of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It begins after what is had, or within a character of it: nothing was taken.
    Hole,
    /// This much of it was new, and stands at this index.
    New { index: u64, text: String },
    /// All of it was had, or lies beyond the bound.
    Nothing,
}

impl Said {
    pub fn of(text: &str) -> Self {
        let mut said = Self::default();
        said.append(text);
        said
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// Length in UTF-16 code units.
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// Takes what is new of a piece that begins at `index`, in UTF-16 code units.
    pub fn hear(&mut self, index: u64, piece: &str) -> Heard {
        if self.is_full() {
            return Heard::Nothing;
        }
        let Some(mut had) = self.units.checked_sub(index) else {
            return Heard::Hole;
        };
        let mut rest = piece.chars();
        while had > 0 {
            let Some(char) = rest.next() else {
                return Heard::Nothing;
            };
            match had.checked_sub(char.len_utf16() as u64) {
                Some(left) => had = left,
                None => return Heard::Hole,
            }
        }
        let index = self.units;
        let text = self.append(rest.as_str());
        if text.is_empty() {
            Heard::Nothing
        } else {
            Heard::New { index, text }
        }
    }

    /// What to tell the speaker it may go on after, once it said `piece` at `index`. Beyond the
    /// bound everything counts as had: asking for it again would never end.
    pub fn have(&self, index: u64, piece: &str) -> u64 {
        if !self.is_full() {
            return self.units;
        }
        let end = index.saturating_add(piece.encode_utf16().count() as u64);
        self.units.max(end)
    }

    /// No further character is taken, whichever it is: one that fits after one that did not
    /// would leave a hole.
    const fn is_full(&self) -> bool {
        self.text.len() > ANSWER_MAX_BYTES - CHAR_MAX_BYTES
    }

    fn append(&mut self, piece: &str) -> String {
        let from = self.text.len();
        for char in piece.chars() {
            if self.is_full() {
                break;
            }
            self.text.push(char);
            self.units += char.len_utf16() as u64;
        }
        self.text.get(from..).unwrap_or_default().to_owned()
    }
}

const CHAR_MAX_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn new(index: u64, text: &str) -> Heard {
        Heard::New {
            index,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_piece_is_taken_once_however_it_overlaps() {
        let mut said = Said::default();
        assert_eq!(said.hear(0, "Hola"), new(0, "Hola"));
        assert_eq!(said.hear(0, "Hola"), Heard::Nothing);
        assert_eq!(said.hear(2, "la ñ"), new(4, " ñ"));
        assert_eq!(said.hear(7, "x"), Heard::Hole);
        assert_eq!(said.hear(0, "Ho"), Heard::Nothing);
        assert_eq!((said.text(), said.units()), ("Hola ñ", 6));
    }

    #[test]
    fn an_index_counts_code_units_and_splits_no_pair() {
        let mut said = Said::default();
        assert_eq!(said.hear(0, "a😀"), new(0, "a😀"));
        assert_eq!(said.units(), 3);
        assert_eq!(said.hear(1, "😀é"), new(3, "é"));
        // Two units of this piece are had, the second of them the first half of a character.
        assert_eq!(said.hear(2, "x😀"), Heard::Hole);
        assert_eq!(said.text(), "a😀é");
    }

    #[test]
    fn a_text_that_is_full_is_a_prefix_and_stays_so() {
        let whole = "ab😀ñ".repeat(ANSWER_MAX_BYTES / 4);
        let mut said = Said::default();
        for piece in 0..whole.len() / 8 {
            let from = said.units();
            let chars = said.text().chars().count();
            let piece: String = whole.chars().skip(chars).take(1 + piece % 50_000).collect();
            said.hear(from, &piece);
            if said.have(from, &piece) > said.units() {
                break;
            }
        }
        assert!(said.text().len() <= ANSWER_MAX_BYTES);
        assert!(said.text().len() > ANSWER_MAX_BYTES - CHAR_MAX_BYTES);
        assert!(whole.starts_with(said.text()));
        assert_eq!(said.hear(said.units(), "a"), Heard::Nothing);
        assert_eq!(said.have(1 << 40, "abc"), (1 << 40) + 3);
        assert_eq!(Said::of(&whole), said);
    }
}

//! Server-sent events, from bytes that come in pieces cut anywhere.
//!
//! Follows "9.2.6 Interpreting an event stream" of the HTML standard. Knows nothing of what the
//! events mean, and drops `id` and `retry`: a run never reconnects to the same stream.
//!
//! Invariants: the same bytes give the same events however they are cut (a line is decoded only
//! when it is whole, so no code point is split); a line and an event are bounded; bad UTF-8 is
//! replaced, never refused.

use crate::limits::SSE_EVENT_MAX_BYTES;

/// One event, with the lines of its data joined by `\n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty when there was none.
    pub kind: String,
    pub data: String,
}

/// A line or an event grew beyond [`SSE_EVENT_MAX_BYTES`]. The parser is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

#[derive(Debug, Default)]
pub struct Parser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    kind: String,
    /// `None` until a `data` line came: an event without one is not dispatched.
    data: Option<String>,
    /// The line before ended with `\r`; a `\n` that comes next belongs to it.
    after_cr: bool,
    /// The first line, which may open with a byte order mark, is behind us.
    begun: bool,
}

impl Parser {
    /// Appends the events that end in `chunk`. Those before an error are in `events` too.
    pub fn eat(&mut self, chunk: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        let mut rest = chunk;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let [b'\n', tail @ ..] = rest
            {
                rest = tail;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (head, tail) = rest.split_at(end.unwrap_or(rest.len()));
            self.hold(head)?;
            let [terminator, tail @ ..] = tail else { break };
            self.after_cr = *terminator == b'\r';
            self.line_ended(events)?;
            rest = tail;
        }
        Ok(())
    }

    /// The stream ended. The standard drops an event without its blank line; servers that forget
    /// it after the last event exist, and a reader of JSON notices one that was cut.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), TooLong> {
        if !self.line.is_empty() {
            self.line_ended(events)?;
        }
        self.dispatch(events);
        Ok(())
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), TooLong> {
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held + part.len() > SSE_EVENT_MAX_BYTES {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn line_ended(&mut self, events: &mut Vec<Event>) -> Result<(), TooLong> {
        let mut line = std::mem::take(&mut self.line);
        let mut bytes = line.as_slice();
        if !std::mem::replace(&mut self.begun, true) {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
        if bytes.is_empty() {
            self.dispatch(events);
        } else {
            self.field(&String::from_utf8_lossy(bytes))?;
        }
        line.clear();
        self.line = line; // with its capacity
        Ok(())
    }

    fn field(&mut self, line: &str) -> Result<(), TooLong> {
        // A comment is a field without a name, and falls through like any unknown one.
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.kind),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) if data.len() + value.len() < SSE_EVENT_MAX_BYTES => {
                    data.push('\n');
                    data.push_str(value);
                }
                Some(_) => return Err(TooLong),
            },
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let kind = std::mem::take(&mut self.kind);
        if let Some(data) = self.data.take() {
            events.push(Event { kind, data });
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.eat(chunk, &mut events).unwrap();
        }
        parser.finish(&mut events).unwrap();
        events
    }

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn meets_the_standard() {
        let table: &[(&[u8], &[Event])] = &[
            (b"", &[]),
            (b"data: a\n\n", &[event("", "a")]),
            (b"\xEF\xBB\xBFdata: a\n\n", &[event("", "a")]),
            // Only the first line may have a mark; elsewhere it is part of a name nobody knows.
            (b"data: a\n\n\xEF\xBB\xBFdata: b\n\n", &[event("", "a")]),
            (b"data:a\ndata:  b\ndata\n\n", &[event("", "a\n b\n")]),
            (b"data: a\r\ndata: b\r\n\r\n", &[event("", "a\nb")]),
            (
                b"data: a\rdata: b\r\rdata: c\r\r",
                &[event("", "a\nb"), event("", "c")],
            ),
            (
                b"data: a\r\n\ndata: b\n\r\n",
                &[event("", "a"), event("", "b")],
            ),
            (
                b": hello\n\n:\n\ndata: a\n: in between\n\n",
                &[event("", "a")],
            ),
            (
                b"event: error\ndata: x\n\ndata: y\n\n",
                &[event("error", "x"), event("", "y")],
            ),
            (b"event: lost\n\ndata: y\n\n", &[event("", "y")]),
            (b"data:\n\n", &[event("", "")]),
            (b"id: 7\nretry: 10\nfoo: bar\nfoo\n\n", &[]),
            (
                b"data: {\"a\":\"b: c\"}\n\n",
                &[event("", "{\"a\":\"b: c\"}")],
            ),
            // Lenient at the end of the stream.
            (b"data: a\n", &[event("", "a")]),
            (b"data: a", &[event("", "a")]),
            (b"data: \xFF\xC3\n\n", &[event("", "\u{FFFD}\u{FFFD}")]),
            (b"\x00\x01\n\n\xF0\x9F\n\n", &[]),
        ];
        for (bytes, expected) in table {
            assert_eq!(
                parse(&[bytes]),
                *expected,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn indifferent_to_chunk_boundaries() {
        let corpus: [&[u8]; 5] = [
            "\u{FEFF}data: {\"c\":\"¿Qué tal, señor? 👩‍👩‍👧 漢字\"}\r\n\r\n: x\r\ndata: [DONE]\r\n\r\n"
                .as_bytes(),
            b"data: a\rdata: b\r\r\n\r\ndata: c\n\revent: e\ndata: d\r\n",
            b"data: bad \xF0\x9F\x98 utf\xC3\r\n\r\n\xEF\xBB\ndata: \xEF\xBB\xBFx\n\n",
            b"\xEF\xBBdata: a\n\n\r\r\r\n\n\ndata\n\ndata:\ndata:\n\n",
            b"event: ping\ndata: {}\n\nevent: message\ndata: 1\ndata: 2\ndata: 3",
        ];
        for bytes in corpus {
            let whole = parse(&[bytes]);
            for at in 0..=bytes.len() {
                let (a, b) = bytes.split_at(at);
                assert_eq!(parse(&[a, b]), whole, "split at {at}");
                assert_eq!(
                    parse(&[a, b"", b]),
                    whole,
                    "split at {at} with nothing between"
                );
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(parse(&single), whole, "byte by byte");
        }
    }

    #[test]
    fn bounded() {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        let part = vec![b'x'; SSE_EVENT_MAX_BYTES / 2];
        assert_eq!(parser.eat(b"data: first\n\n:", &mut events), Ok(()));
        assert_eq!(parser.eat(&part, &mut events), Ok(()));
        assert_eq!(parser.eat(&part, &mut events), Err(TooLong));
        assert_eq!(events.len(), 1);

        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &part, b"\n"].concat();
        assert_eq!(parser.eat(&line, &mut events), Ok(()));
        assert_eq!(parser.eat(&line, &mut events), Err(TooLong));

        // Each bad byte becomes three: the bound holds for what is kept, too.
        let mut parser = Parser::default();
        let bad = [
            b"data: ".as_slice(),
            &vec![0xFF; SSE_EVENT_MAX_BYTES / 3 - 100],
            b"\n",
        ]
        .concat();
        assert_eq!(parser.eat(&bad, &mut events), Ok(()));
        assert_eq!(parser.eat(&bad, &mut events), Err(TooLong));
    }
}

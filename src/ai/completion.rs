//! What a chat completion says: a chunk of a stream, a whole completion, or an error in the place
//! of either, read from JSON.
//!
//! Refuses to know how the JSON came and what follows from it. Every field may be missing or
//! `null`; what is not used is not looked at.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Chunk {
    pub model: Option<String>,
    pub choices: Option<Vec<Choice>>,
    error: Option<Value>,
    /// `"error"` where the error is not wrapped in a field of its own; then these are its parts.
    object: Option<Value>,
    message: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    code: Option<Value>,
}

#[derive(Deserialize)]
pub struct Choice {
    pub index: Option<u64>,
    /// In a stream.
    pub delta: Option<Said>,
    /// In a whole completion.
    pub message: Option<Said>,
    pub finish_reason: Option<String>,
}

#[derive(Deserialize)]
pub struct Said {
    content: Option<Value>,
}

/// An error as the provider words it. Fields are empty when they were not given.
pub struct Problem {
    message: String,
    kind: String,
    pub code: String,
}

impl Chunk {
    pub fn into_problem(self) -> Option<Problem> {
        match self.error {
            Some(Value::Object(fields)) => {
                let field = |name: &str| word(fields.get(name));
                let (message, kind, code) = (field("message"), field("type"), field("code"));
                Some(Problem {
                    message,
                    kind,
                    code,
                })
            }
            Some(Value::String(message)) if !message.is_empty() => Some(Problem {
                message,
                kind: String::new(),
                code: String::new(),
            }),
            _ if self.object == Some(Value::from("error")) => Some(Problem {
                message: word(self.message.as_ref()),
                kind: word(self.kind.as_ref()),
                code: word(self.code.as_ref()),
            }),
            _ => None,
        }
    }
}

impl Said {
    /// The text; of a list of parts, the parts that are text (others are thoughts, images, …).
    pub fn text(&self) -> String {
        match &self.content {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect(),
            _ => String::new(),
        }
    }
}

impl Problem {
    /// Some put the HTTP status that came too late into the code.
    pub fn status(&self) -> Option<u16> {
        self.code
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status))
    }

    /// The request is at fault, or our account: the same request would fail again.
    pub fn is_ours(&self) -> bool {
        OURS.contains(&self.kind.as_str()) || OURS.contains(&self.code.as_str())
    }

    pub fn shown(&self) -> String {
        let Problem {
            message,
            kind,
            code,
        } = self;
        match (
            message.is_empty(),
            if code.is_empty() { kind } else { code },
        ) {
            (false, word) if word.is_empty() => message.clone(),
            (false, word) => format!("{message} ({word})"),
            (true, word) if word.is_empty() => "an error without a message".to_owned(),
            (true, word) => word.clone(),
        }
    }
}

/// Codes are strings here and numbers there.
fn word(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(word)) => word.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

const OURS: [&str; 10] = [
    "authentication_error",
    "billing_hard_limit_reached",
    "content_filter",
    "context_length_exceeded",
    "insufficient_quota",
    "invalid_api_key",
    "invalid_request_error",
    "model_not_found",
    "not_found_error",
    "permission_error",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Option<Problem> {
        serde_json::from_str::<Chunk>(json).unwrap().into_problem()
    }

    #[test]
    fn problems_in_all_their_shapes() {
        let table = [
            (
                r#"{"error":{"message":"m","type":"t","code":"c"}}"#,
                "m (c)",
                None,
            ),
            (
                r#"{"error":{"message":"m","type":"t","code":null}}"#,
                "m (t)",
                None,
            ),
            (
                r#"{"error":{"message":"m","code":503}}"#,
                "m (503)",
                Some(503),
            ),
            (r#"{"error":{"code":"c"}}"#, "c", None),
            (r#"{"error":{}}"#, "an error without a message", None),
            (r#"{"error":"m"}"#, "m", None),
            (
                r#"{"object":"error","message":"m","type":"t","code":400}"#,
                "m (400)",
                Some(400),
            ),
        ];
        for (json, shown, status) in table {
            let problem = problem(json).unwrap();
            assert_eq!(
                (problem.shown().as_str(), problem.status()),
                (shown, status),
                "{json}"
            );
        }
        for json in [
            "{}",
            r#"{"error":null}"#,
            r#"{"error":false}"#,
            r#"{"error":""}"#,
        ] {
            assert!(problem(json).is_none(), "{json}");
        }
    }

    #[test]
    fn everything_may_be_missing() {
        for json in [
            "{}",
            r#"{"choices":null,"model":null}"#,
            r#"{"choices":[{}]}"#,
            r#"{"choices":[{"delta":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":null}}],"usage":{"x":1},"object":3}"#,
        ] {
            let chunk: Chunk = serde_json::from_str(json).unwrap();
            for choice in chunk.choices.unwrap_or_default() {
                assert_eq!(choice.delta.map(|said| said.text()).unwrap_or_default(), "");
            }
        }
    }
}

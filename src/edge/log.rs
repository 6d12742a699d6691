//! Structured log: one JSON line an event, on the console, at the configured level or above.
//! Never a token, never a body.

use serde_json::{Map, Value};

use crate::config::LogLevel;

use super::js;

/// A line in the making.
#[derive(Debug)]
pub struct Line {
    level: LogLevel,
    fields: Map<String, Value>,
}

impl Line {
    pub fn new(level: LogLevel, event: &str) -> Self {
        let mut fields = Map::new();
        let word = match level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        fields.insert("level".to_owned(), word.into());
        fields.insert("event".to_owned(), event.into());
        Self { level, fields }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    pub fn write(self, least: LogLevel) {
        if self.level < least {
            return;
        }
        let text = Value::Object(self.fields).to_string();
        if self.level >= LogLevel::Warn {
            js::log_error(&text);
        } else {
            js::log(&text);
        }
    }
}

/// What went wrong on our side.
pub fn broken(event: &str, detail: &str) {
    Line::new(LogLevel::Error, event)
        .with("detail", detail)
        .write(LogLevel::Error);
}

//! The request for a chat completion: address, headers and the room as a list of messages.
//!
//! Refuses to know who sends it and what comes back. What a question asks for never exceeds what
//! the configuration allows.

use serde::Serialize;

use super::{HttpRequest, OpenAi, Question};

pub fn request(config: &OpenAi, question: &Question) -> HttpRequest {
    let base = config.base_url.trim().trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base);
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "text/event-stream, application/json".to_owned()),
    ];
    if let Some(key) = key(config) {
        headers.push(("authorization", format!("Bearer {key}")));
    }
    let mut messages = Vec::new();
    if let Some(prompt) = config
        .system_prompt
        .as_ref()
        .filter(|prompt| !prompt.trim().is_empty())
    {
        messages.push(Message {
            role: "system",
            content: prompt.clone(),
        });
    }
    messages.extend(question.others().map(|turn| match turn {
        turn if turn.ai => Message {
            role: "assistant",
            content: turn.text.clone(),
        },
        // Without a name in front is whoever asks, as in the question.
        turn if turn.user == question.asker => Message {
            role: "user",
            content: turn.text.clone(),
        },
        turn => Message {
            role: "user",
            content: format!("{}: {}", turn.author(), turn.text),
        },
    }));
    messages.push(Message {
        role: "user",
        content: question.prompt.clone(),
    });
    let body = Request {
        model: question.model.as_ref().unwrap_or(&config.model),
        messages,
        stream: true,
        max_tokens: match (question.max_tokens, config.max_tokens) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        },
    };
    let body = serde_json::to_string(&body).expect("strings and numbers have a JSON form");
    HttpRequest {
        method: "POST",
        url: format!("{base}{PATH}"),
        headers,
        body,
    }
}

/// Secrets are pasted with a line end more often than not, and an empty one is none.
pub fn key(config: &OpenAi) -> Option<&str> {
    config
        .api_key
        .as_deref()
        .map(str::trim)
        .filter(|key| !key.is_empty())
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: Vec<Message>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: String,
}

const PATH: &str = "/chat/completions";

#[cfg(test)]
mod tests {
    use super::super::{Provider, Run, Start, Turn};
    use super::*;

    fn config() -> OpenAi {
        OpenAi {
            base_url: "http://ai.test/v1".to_owned(),
            api_key: Some("sk-1".to_owned()),
            model: "small".to_owned(),
            system_prompt: None,
            max_tokens: None,
        }
    }

    fn question(context: Vec<Turn>) -> Question {
        let (prompt, asker) = ("Why?".to_owned(), "ana".to_owned());
        Question {
            prompt,
            model: None,
            max_tokens: None,
            asker,
            context,
        }
    }

    fn turn(user: &str, name: Option<&str>, text: &str, ai: bool) -> Turn {
        let (user, name) = (user.to_owned(), name.map(str::to_owned));
        Turn {
            user,
            name,
            text: text.to_owned(),
            ai,
        }
    }

    fn sent(config: &OpenAi, question: &Question) -> (HttpRequest, serde_json::Value) {
        let provider = Provider::OpenAi(config.clone());
        let Start::Fetch(request) = Run::new(&provider, question).start() else {
            panic!("a request is needed")
        };
        let body = serde_json::from_str(&request.body).unwrap();
        (request, body)
    }

    #[test]
    fn builds_the_request() {
        let context = vec![
            turn("ben", Some(" Ben\n Li "), "hi", false),
            turn("ana", Some("Ana"), "hello", false),
            turn("ai", None, "good day", true),
            turn("cy", None, "and me", false),
            turn("ana", None, "Why?", false),
        ];
        let system_prompt = Some("Be brief.".to_owned());
        let (request, body) = sent(
            &OpenAi {
                system_prompt,
                ..config()
            },
            &question(context),
        );
        assert_eq!(
            (request.method, request.url.as_str()),
            ("POST", "http://ai.test/v1/chat/completions")
        );
        assert!(
            request
                .headers
                .contains(&("authorization", "Bearer sk-1".to_owned()))
        );
        let expected = serde_json::json!({
            "model": "small",
            "stream": true,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Ben Li: hi"},
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "good day"},
                {"role": "user", "content": "cy: and me"},
                {"role": "user", "content": "Why?"},
            ],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn urls_keys_and_tokens() {
        for base in [
            "http://a",
            "http://a/",
            " http://a// ",
            "http://a/chat/completions",
        ] {
            let (request, _) = sent(
                &OpenAi {
                    base_url: base.to_owned(),
                    ..config()
                },
                &question(vec![]),
            );
            assert_eq!(request.url, "http://a/chat/completions", "{base:?}");
        }
        for (key, header) in [
            (None, None),
            (Some(" \n"), None),
            (Some("k\n"), Some("Bearer k")),
        ] {
            let (request, _) = sent(
                &OpenAi {
                    api_key: key.map(str::to_owned),
                    ..config()
                },
                &question(vec![]),
            );
            let found = request
                .headers
                .iter()
                .find(|(name, _)| *name == "authorization");
            assert_eq!(found.map(|(_, value)| value.as_str()), header, "{key:?}");
        }
        let table = [
            (None, None, None),
            (Some(5), None, Some(5)),
            (None, Some(7), Some(7)),
            (Some(5), Some(7), Some(5)),
            (Some(9), Some(7), Some(7)),
        ];
        for (asked, most, expected) in table {
            let question = Question {
                max_tokens: asked,
                model: Some("big".to_owned()),
                ..question(vec![])
            };
            let (_, body) = sent(
                &OpenAi {
                    max_tokens: most,
                    ..config()
                },
                &question,
            );
            assert_eq!(body.get("max_tokens").and_then(|it| it.as_u64()), expected);
            assert_eq!(body["model"], "big");
        }
    }
}

#![expect(clippy::too_many_lines, reason = "tables: one line a case")]

use super::about::{Health, health, service, wants_page};
use super::connect::Entry;
use super::token::Offer;
use super::{Action, Op, Query, Refusal, Request, Response, Route, cors, problem, rest, token};
use crate::config::Origins;
use crate::error::{Code, Rejected};
use crate::grant::Scope;
use crate::id::{Epoch, EventType, JobId, JobNo, RoomName, Seq, UserId};
use crate::message::{JobState, JobView, Json, PageQuery, Reply, Since};
use crate::time::{Millis, Timestamp};

const JOB: JobId = JobId {
    epoch: Epoch(0xab),
    no: JobNo(4),
};
const MAX: usize = 1024;

/// Calls `test` with a request for `target` that has these headers.
fn with<T>(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    test: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    test(&Request {
        method,
        scheme: "https",
        path,
        query,
        header: &header,
    })
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn every_route_reads_from_its_own_path() {
    let of = |action| Route::Room(room("orders:42|a+b"), action);
    let table = [
        (Route::About, "GET /"),
        (Route::Health, "GET /health"),
        (Route::Socket(None), "GET /ws"),
        (Route::Socket(Some(room("orders"))), "GET /rooms/orders/ws"),
        (
            of(Action::Publish),
            "POST /v1/rooms/orders%3A42%7Ca%2Bb/messages",
        ),
        (
            of(Action::History),
            "GET /v1/rooms/orders%3A42%7Ca%2Bb/messages",
        ),
        (
            of(Action::Members),
            "GET /v1/rooms/orders%3A42%7Ca%2Bb/members",
        ),
        (
            of(Action::JobCreate),
            "POST /v1/rooms/orders%3A42%7Ca%2Bb/jobs",
        ),
        (
            of(Action::JobList),
            "GET /v1/rooms/orders%3A42%7Ca%2Bb/jobs",
        ),
        (
            of(Action::JobRead(JOB)),
            "GET /v1/rooms/orders%3A42%7Ca%2Bb/jobs/0000000000ab-j4",
        ),
        (
            of(Action::JobCancel(JOB)),
            "POST /v1/rooms/orders%3A42%7Ca%2Bb/jobs/0000000000ab-j4/cancel",
        ),
        (
            of(Action::JobRetry(JOB)),
            "POST /v1/rooms/orders%3A42%7Ca%2Bb/jobs/0000000000ab-j4/retry",
        ),
        #[cfg(feature = "panic-route")]
        (
            of(Action::Panic),
            "POST /v1/rooms/orders%3A42%7Ca%2Bb/panic",
        ),
    ];
    for (route, line) in table {
        let (method, path) = route.path();
        assert_eq!(format!("{method} {path}"), line);
        assert_eq!(Route::parse(method, &path), Ok(route.clone()));
        assert_eq!(Route::parse("HEAD", &path), Route::parse("GET", &path));
        assert_eq!(route.is_public(), matches!(line, "GET /" | "GET /health"));
    }
    let plain = Route::Room(room("orders:42|a+b"), Action::Members);
    assert_eq!(
        Route::parse("GET", "/v1/rooms/orders:42|a+b/members"),
        Ok(plain)
    );
}

#[test]
fn other_paths_methods_and_names_are_refused() {
    use Code::{InvalidName, MethodNotAllowed, NotFound};
    let long = format!("/v1/rooms/{}/messages", "x".repeat(129));
    let table = [
        ("GET", "", NotFound, None),
        ("GET", "//", NotFound, None),
        ("GET", "/favicon", NotFound, None),
        ("GET", "/health/", NotFound, None),
        ("GET", "/v1/rooms/r", NotFound, None),
        ("GET", "/v1/rooms/r/messages/", NotFound, None),
        (
            "GET",
            "/v1/rooms/r/jobs/0000000000ab-j4/cancel/x",
            NotFound,
            None,
        ),
        ("GET", "/rooms/a/b/ws", NotFound, None),
        ("GET", "/v1/rooms/r/jobs/nope", NotFound, None),
        ("OPTIONS", "/nothing", NotFound, None),
        ("POST", "/", MethodNotAllowed, Some("GET, HEAD, OPTIONS")),
        ("POST", "/ws", MethodNotAllowed, Some("GET, HEAD, OPTIONS")),
        (
            "get",
            "/health",
            MethodNotAllowed,
            Some("GET, HEAD, OPTIONS"),
        ),
        (
            "PUT",
            "/v1/rooms/r/messages",
            MethodNotAllowed,
            Some("GET, HEAD, POST, OPTIONS"),
        ),
        (
            "HEAD",
            "/v1/rooms/r/jobs/0000000000ab-j4/cancel",
            MethodNotAllowed,
            Some("POST, OPTIONS"),
        ),
        (
            "DELETE",
            "/v1/rooms/a%20b/members",
            MethodNotAllowed,
            Some("GET, HEAD, OPTIONS"),
        ),
        ("GET", "/v1/rooms//messages", InvalidName, None),
        ("GET", "/v1/rooms/a%20b/messages", InvalidName, None),
        ("GET", "/v1/rooms/a%2Fb/messages", InvalidName, None),
        ("GET", "/v1/rooms/%zz/messages", InvalidName, None),
        ("GET", "/v1/rooms/a%/messages", InvalidName, None),
        ("GET", "/v1/rooms/%ff/messages", InvalidName, None),
        ("GET", "/v1/rooms/~lobby-1/messages", InvalidName, None),
        ("GET", "/rooms/%C3%B1/ws", InvalidName, None),
        ("GET", "/v1/rooms/r/jobs/a%20b", InvalidName, None),
        ("GET", &long, InvalidName, None),
    ];
    for (method, path, code, allow) in table {
        let refusal = Route::parse(method, path).unwrap_err();
        assert_eq!(refusal.rejected.code, code, "{method} {path}");
        assert_eq!(refusal.allow.as_deref(), allow, "{method} {path}");
    }
    assert!(Route::parse("GET", &"/".repeat(100_000)).is_err());
}

fn op(line: &str, headers: &[(&str, &str)], body: &str) -> Result<Op, Refusal> {
    let (method, target) = line.split_once(' ').unwrap();
    with(method, target, headers, |request| {
        let Route::Room(_, action) = Route::parse(request.method, request.path)? else {
            panic!("{line} is no request to a room")
        };
        let query = Query::parse(request.query)?;
        Ok(rest::op(action, request, &query, body)?)
    })
}

#[test]
fn a_publication_has_its_defaults_and_all_its_fields() {
    let line = "POST /v1/rooms/r/messages";
    let Ok(Op::Publish(least)) = op(line, &[], r#"{"body":null,"echo":false,"key":"no"}"#) else {
        panic!()
    };
    assert_eq!(least.kind, EventType::message());
    assert_eq!(least.body, Some(Json::null()));
    assert_eq!((least.meta, least.corr, least.key), (None, None, None));
    assert!(least.echo && !least.ephemeral && least.exclude.is_empty());
    let body = r#" {"type":"order","body":{"a": 1},"meta":{"m":1},"ephemeral":true,
        "exclude":["ana","bo"],"corr":"c","unknown":[1]} "#;
    let Ok(Op::Publish(full)) = op(line, &[("idempotency-key", "k")], body) else {
        panic!()
    };
    assert_eq!(full.kind, EventType::known("order"));
    assert_eq!(full.body.unwrap().text(), r#"{"a": 1}"#);
    assert_eq!(full.meta.unwrap().text(), r#"{"m":1}"#);
    assert_eq!(
        (full.corr.as_deref(), full.key.as_deref()),
        (Some("c"), Some("k"))
    );
    assert!(full.echo && full.ephemeral);
    assert_eq!(
        full.exclude,
        ["ana", "bo"].map(|user| UserId::parse(user).unwrap())
    );
}

#[test]
fn jobs_pages_and_lists_read_from_body_and_query() {
    let body = r#"{"kind":"ai.chat","input":{"prompt":"hi"},"key":"k","delay_ms":5,"priority":-9,
        "max_attempts":2,"corr":"c"}"#;
    let Ok(Op::JobCreate(job)) = op("POST /v1/rooms/r/jobs", &[], body) else {
        panic!()
    };
    assert_eq!(
        (job.kind.as_str(), job.input.text()),
        ("ai.chat", r#"{"prompt":"hi"}"#)
    );
    assert_eq!(
        (job.key.as_deref(), job.corr.as_deref()),
        (Some("k"), Some("c"))
    );
    assert_eq!(
        (job.delay, job.priority, job.max_attempts),
        (Millis(5), -9, Some(2))
    );
    let headers = [("idempotency-key", "h")];
    let Ok(Op::JobCreate(job)) = op(
        "POST /v1/rooms/r/jobs",
        &headers,
        r#"{"kind":"x","input":{}}"#,
    ) else {
        panic!()
    };
    assert_eq!(
        (job.key.as_deref(), job.delay, job.max_attempts),
        (Some("h"), Millis(0), None)
    );

    let types = vec![EventType::message(), EventType::known("job")];
    let table = [
        ("GET /v1/rooms/r/messages", {
            Op::History(PageQuery {
                after: None,
                before: None,
                limit: 50,
                types: vec![],
            })
        }),
        (
            "GET /v1/rooms/r/messages?after=0&limit=500&types=message,job",
            {
                Op::History(PageQuery {
                    after: Some(Seq(0)),
                    before: None,
                    limit: 500,
                    types,
                })
            },
        ),
        ("HEAD /v1/rooms/r/messages?before=7&limit=1&types=&x=y&z", {
            Op::History(PageQuery {
                after: None,
                before: Some(Seq(7)),
                limit: 1,
                types: vec![],
            })
        }),
        (
            "GET /v1/rooms/r/members",
            Op::Members {
                after: None,
                limit: 100,
            },
        ),
        ("GET /v1/rooms/r/members?limit=0&after=ana%40x.org", {
            Op::Members {
                after: Some(UserId::parse("ana@x.org").unwrap()),
                limit: 0,
            }
        }),
        ("GET /v1/rooms/r/jobs", Op::JobList { state: None }),
        (
            "GET /v1/rooms/r/jobs?state=dead",
            Op::JobList {
                state: Some(JobState::Dead),
            },
        ),
        (
            "GET /v1/rooms/r/jobs/0000000000ab-j4",
            Op::JobRead { job: JOB },
        ),
        (
            "POST /v1/rooms/r/jobs/0000000000ab-j4/cancel",
            Op::JobCancel { job: JOB },
        ),
        (
            "POST /v1/rooms/r/jobs/0000000000ab-j4/retry",
            Op::JobRetry { job: JOB },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(op(line, &[], ""), Ok(expected), "{line}");
    }
}

#[test]
fn every_request_is_refused_by_the_name_of_what_is_wrong() {
    use Code::{BadMessage, InvalidName, InvalidPayload};
    let publish = "POST /v1/rooms/r/messages";
    let jobs = "POST /v1/rooms/r/jobs";
    let deep = format!(r#"{{"body":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let meta = format!(r#"{{"body":1,"meta":"{}"}}"#, "x".repeat(2047));
    let many = format!(
        r#"{{"body":1,"exclude":[{}]}}"#,
        vec!["\"u\""; 101].join(",")
    );
    let corr = format!(r#"{{"body":1,"corr":"{}"}}"#, "x".repeat(129));
    let types = format!("GET /v1/rooms/r/messages?types={}", vec!["a"; 33].join(","));
    let parameters = format!("GET /v1/rooms/r/messages?{}", vec!["a=1"; 65].join("&"));
    let table: &[(&str, &str, Code, &str)] = &[
        (publish, "", BadMessage, "empty"),
        (publish, "{", BadMessage, "not JSON"),
        (publish, "[]", BadMessage, "object"),
        (publish, "[[[[[\"body\"]]]]]", BadMessage, "object"),
        (publish, "{}", InvalidPayload, "`body`"),
        (publish, &deep, InvalidPayload, "64"),
        (publish, r#"{"body":1,"body":2}"#, InvalidPayload, "`body`"),
        (publish, r#"{"body":1,"type":5}"#, InvalidPayload, "`type`"),
        (
            publish,
            r#"{"body":1,"type":"reply"}"#,
            InvalidName,
            "reply",
        ),
        (
            publish,
            r#"{"body":1,"ephemeral":"x"}"#,
            InvalidPayload,
            "`ephemeral`",
        ),
        (
            publish,
            r#"{"body":1,"exclude":"ana"}"#,
            InvalidPayload,
            "`exclude`",
        ),
        (
            publish,
            r#"{"body":1,"exclude":[5]}"#,
            InvalidPayload,
            "`exclude`",
        ),
        (
            publish,
            r#"{"body":1,"exclude":["a b"]}"#,
            InvalidName,
            "user",
        ),
        (publish, &many, InvalidPayload, "`exclude`"),
        (publish, &meta, InvalidPayload, "`meta`"),
        (publish, &corr, InvalidPayload, "`corr`"),
        (jobs, r#"{"input":{}}"#, InvalidPayload, "`kind`"),
        (jobs, r#"{"kind":5,"input":{}}"#, InvalidPayload, "`kind`"),
        (jobs, r#"{"kind":"ai.chat"}"#, InvalidPayload, "`input`"),
        (
            jobs,
            r#"{"kind":"ai.chat","input":"x"}"#,
            InvalidPayload,
            "`input`",
        ),
        (
            jobs,
            r#"{"kind":"k","input":{},"key":""}"#,
            InvalidPayload,
            "`key`",
        ),
        (
            jobs,
            r#"{"kind":"k","input":{},"delay_ms":"1"}"#,
            InvalidPayload,
            "`delay_ms`",
        ),
        (
            jobs,
            r#"{"kind":"k","input":{},"priority":-101}"#,
            InvalidPayload,
            "`priority`",
        ),
        (
            jobs,
            r#"{"kind":"k","input":{},"max_attempts":26}"#,
            InvalidPayload,
            "`max_attempts`",
        ),
        (
            "GET /v1/rooms/r/messages?after=1&before=2",
            "",
            InvalidPayload,
            "`after`",
        ),
        (
            "GET /v1/rooms/r/messages?after=-1",
            "",
            InvalidPayload,
            "`after`",
        ),
        (
            "GET /v1/rooms/r/messages?after=",
            "",
            InvalidPayload,
            "`after`",
        ),
        (
            "GET /v1/rooms/r/messages?after=1&after=1",
            "",
            InvalidPayload,
            "twice",
        ),
        (
            "GET /v1/rooms/r/messages?limit=0",
            "",
            InvalidPayload,
            "`limit`",
        ),
        (
            "GET /v1/rooms/r/messages?limit=501",
            "",
            InvalidPayload,
            "500",
        ),
        (
            "GET /v1/rooms/r/messages?types=a%20b",
            "",
            InvalidName,
            "types",
        ),
        (&types, "", InvalidPayload, "`types`"),
        (&parameters, "", BadMessage, "too many"),
        ("GET /v1/rooms/r/messages?a=%ff", "", BadMessage, "UTF-8"),
        ("GET /v1/rooms/r/messages?a=%f", "", BadMessage, "percent"),
        (
            "GET /v1/rooms/r/members?limit=501",
            "",
            InvalidPayload,
            "`limit`",
        ),
        ("GET /v1/rooms/r/members?after=a+b", "", InvalidName, "user"),
        (
            "GET /v1/rooms/r/jobs?state=Dead",
            "",
            InvalidPayload,
            "`state`",
        ),
        ("GET /v1/rooms/r/jobs?state=", "", InvalidPayload, "`state`"),
    ];
    for (line, body, code, says) in table {
        let rejected = op(line, &[], body).unwrap_err().rejected;
        assert_eq!(rejected.code, *code, "{line} {body}: {rejected}");
        assert!(rejected.detail.contains(says), "{line} {body}: {rejected}");
    }
    for key in ["", &"x".repeat(256)] {
        let rejected = op(publish, &[("idempotency-key", key)], r#"{"body":1}"#)
            .unwrap_err()
            .rejected;
        assert_eq!(rejected.code, InvalidPayload);
        assert!(rejected.detail.contains("`Idempotency-Key`"));
    }
}

#[test]
fn bodies_have_a_type_a_size_and_an_encoding() {
    let read = |headers: &[(&str, &str)], body: &[u8]| {
        with("POST", "/", headers, |request| {
            rest::text(request, body, MAX)
                .map(str::to_owned)
                .map_err(|rejected| rejected.code)
        })
    };
    let json = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(read(&json, b"{}"), Ok("{}".to_owned()));
    assert_eq!(
        read(&[("content-type", "application/cloudevents+json")], b"{}"),
        Ok("{}".into())
    );
    assert_eq!(read(&[], b""), Ok(String::new()));
    assert_eq!(read(&[], b"{}"), Err(Code::UnsupportedMediaType));
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "text/x+json",
    ] {
        assert_eq!(
            read(&[("content-type", kind)], b"{}"),
            Err(Code::UnsupportedMediaType),
            "{kind}"
        );
    }
    assert_eq!(read(&json, b"\"\xff\""), Err(Code::BadMessage));
    let max = rest::body_max_bytes(MAX);
    assert!(read(&json, &vec![b' '; max]).is_ok());
    assert_eq!(read(&json, &vec![b' '; max + 1]), Err(Code::TooBig));
    let claims = (max + 1).to_string();
    assert_eq!(
        read(&[json[0], ("content-length", &claims)], b""),
        Err(Code::TooBig)
    );
    assert_eq!(
        read(&[json[0], ("content-length", "x")], b"{}"),
        Ok("{}".into())
    );
}

#[test]
fn answers_have_their_status_and_a_job_stands_by_itself() {
    let view = JobView {
        id: JOB,
        room: room("r"),
        kind: "ai.chat".into(),
        input: Json::null(),
        state: JobState::Queued,
        attempt: 0,
        max_attempts: 5,
        message_id: JOB.answer(),
        result: None,
        error: None,
        retried_from: None,
        created_at: Timestamp(1),
        run_at: Timestamp(1),
        finished_at: None,
    };
    let retry = Op::JobRetry { job: JOB };
    let made = retry.respond(&Ok(Reply::JobCreated {
        job: Box::new(view.clone()),
    }));
    assert_eq!(made.status, 202);
    assert_eq!(
        made.body,
        retry.respond(&Ok(Reply::Job(Box::new(view.clone())))).body
    );
    assert!(
        made.body
            .starts_with(r#"{"id":"0000000000ab-j4","room":"r""#)
    );
    assert_eq!(header(&made, "content-type"), Some("application/json"));
    assert_eq!(header(&made, "cache-control"), Some("no-store"));
    assert_eq!(made.to_method("HEAD").body, "");
    let list = Op::JobList { state: None }.respond(&Ok(Reply::Jobs { jobs: vec![] }));
    assert_eq!((list.status, list.body.as_str()), (200, r#"{"jobs":[]}"#));
    let cancel = Op::JobCancel { job: JOB };
    let cancelled = cancel.respond(&Ok(Reply::Cancelled {
        state: JobState::Cancelled,
    }));
    assert_eq!(
        (cancelled.status, cancelled.body.as_str()),
        (200, r#"{"state":"cancelled"}"#)
    );
    assert_eq!(cancel.scope(), Scope::JobsWrite);
    let refused = cancel.respond(&Err(Rejected::new(Code::NotFound, "no such job")));
    assert_eq!(refused.status, 404);
}

#[test]
fn a_problem_has_the_fields_and_headers_of_its_status() {
    let of = |code| problem::response(&Rejected::new(code, "why \"so\"").into());
    let expired = of(Code::TokenExpired);
    assert_eq!(
        expired.body,
        concat!(
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"#,
            r#""detail":"why \"so\"","code":"token_expired","retryable":false}"#
        )
    );
    assert_eq!(
        header(&expired, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        header(&expired, "www-authenticate"),
        Some(r#"Bearer error="invalid_token", error_description="token_expired""#)
    );
    for code in Code::ALL {
        let (response, row) = (of(code), code.row());
        assert_eq!(response.status, row.http);
        assert_eq!(
            header(&response, "www-authenticate").is_some(),
            row.http == 401,
            "{code:?}"
        );
        let waits = row.http == 429 || (row.http == 503 && row.retryable);
        assert_eq!(
            header(&response, "retry-after").is_some(),
            waits,
            "{code:?}"
        );
        assert_eq!(
            response.body.contains("Internal Server Error"),
            row.http == 500,
            "{code:?}"
        );
    }
    let refusal = Route::parse("PUT", "/health").unwrap_err();
    let response = problem::response(&refusal);
    assert_eq!(
        (response.status, header(&response, "allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn pages_of_other_origins_are_welcome_only_by_the_list() {
    let list = || {
        Origins::List(vec![
            "https://App.example/".into(),
            "http://localhost:3000".into(),
        ])
    };
    let passes: Result<Option<&str>, Code> = Ok(None);
    let foreign = Err(Code::Forbidden);
    let table = [
        (None, "t.dev", Origins::Same, passes),
        (Some("https://t.dev"), "t.dev", Origins::Same, passes),
        (Some("https://t.dev"), "T.dev:443", Origins::Same, passes),
        (Some("https://t.dev"), "t.dev", list(), passes),
        (
            Some("https://t.dev:8787"),
            "t.dev:8787",
            Origins::Same,
            passes,
        ),
        (Some("http://t.dev"), "t.dev", Origins::Same, foreign),
        (Some("https://t.dev:8443"), "t.dev", Origins::Same, foreign),
        (Some("https://evil.dev"), "t.dev", Origins::Same, foreign),
        (
            Some("https://t.dev.evil.dev"),
            "t.dev",
            Origins::Same,
            foreign,
        ),
        (Some("null"), "t.dev", Origins::Same, foreign),
        (Some(""), "", Origins::Same, foreign),
        (Some("null"), "t.dev", list(), foreign),
        (
            Some("https://app.example"),
            "t.dev",
            list(),
            Ok(Some("https://app.example")),
        ),
        (
            Some("http://localhost:3000"),
            "t.dev",
            list(),
            Ok(Some("http://localhost:3000")),
        ),
        (Some("http://localhost:3001"), "t.dev", list(), foreign),
        (
            Some("https://evil.dev"),
            "t.dev",
            Origins::Any,
            Ok(Some("*")),
        ),
    ];
    for (origin, host, origins, expected) in table {
        let mut headers = vec![("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let found = with("GET", "/ws", &headers, |request| {
            cors::check(request, &origins)
        });
        let found = found.map_err(|rejected| rejected.code).map(|cors| {
            let response = cors?.on(Response::empty(204));
            assert_eq!(header(&response, "vary"), Some("origin"));
            header(&response, "access-control-allow-origin").map(str::to_owned)
        });
        assert_eq!(
            found,
            expected.map(|cors| cors.map(str::to_owned)),
            "{origin:?} {host}"
        );
    }
}

#[test]
fn a_preflight_is_told_the_methods_of_its_path() {
    let headers = [
        ("origin", "https://x"),
        ("host", "t"),
        ("access-control-request-method", "POST"),
    ];
    let answer = |method, target, headers: &[(&str, &str)]| {
        with(method, target, headers, |request| {
            let cors = cors::check(request, &Origins::Any).unwrap();
            cors::options(request, cors.as_ref())
        })
    };
    let preflight = answer("OPTIONS", "/v1/rooms/r/messages", &headers).unwrap();
    assert_eq!(preflight.status, 204);
    assert_eq!(
        header(&preflight, "access-control-allow-methods"),
        Some("GET, HEAD, POST, OPTIONS")
    );
    let allowed = header(&preflight, "access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization") && allowed.contains("idempotency-key"));
    let plain = answer("OPTIONS", "/health", &[]).unwrap();
    assert_eq!(plain.headers, [("allow", "GET, HEAD, OPTIONS".to_owned())]);
    assert_eq!(answer("OPTIONS", "/nothing", &headers), None);
    assert_eq!(answer("GET", "/health", &headers), None);
}

#[test]
fn a_browser_gets_the_page_and_others_the_service() {
    for (accept, page) in [
        (
            Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            true,
        ),
        (Some("Text/HTML"), true),
        (Some("application/json, text/html;q=0.5"), false),
        (Some("application/json;q=0.5, text/html"), true),
        (Some("text/html;q=0"), false),
        (Some("text/html; q=x"), true),
        (Some("*/*"), false),
        (Some("application/json"), false),
        (Some(""), false),
        (None, false),
    ] {
        let headers: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        assert_eq!(with("GET", "/", &headers, wants_page), page, "{accept:?}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        service(Timestamp(7)).body,
        format!(
            r#"{{"name":"tertulia","version":"{version}","protocols":["tertulia.v1"],"ts":7}}"#
        )
    );
}

#[test]
fn health_is_that_of_the_worst_check() {
    use Health::{Degraded, Healthy, Unhealthy};
    for (checks, status, word) in [
        (vec![], 200, "healthy"),
        (vec![("config", Healthy), ("ai", Degraded)], 200, "degraded"),
        (
            vec![("config", Unhealthy), ("ai", Degraded)],
            503,
            "unhealthy",
        ),
    ] {
        let response = health(&checks);
        assert_eq!(response.status, status);
        assert!(
            response
                .body
                .starts_with(&format!(r#"{{"status":"{word}","checks":{{"#))
        );
    }
    let body = health(&[("config", Healthy), ("ai", Degraded)]).body;
    assert!(
        body.ends_with(r#""checks":{"config":"healthy","ai":"degraded"}}"#),
        "{body}"
    );
}

/// The token found, and whether the native sub-protocol was offered.
fn found(target: &str, headers: &[(&str, &str)]) -> Result<(Option<String>, bool), Code> {
    with("GET", target, headers, |request| {
        let offer = Offer::parse(request)?;
        let query = Query::parse(request.query)?;
        Ok((token::find(request, &query, &offer)?, offer.native))
    })
    .map_err(|rejected: Rejected| rejected.code)
}

#[test]
fn a_token_is_found_wherever_it_may_stand() {
    let protocols = |value| [("sec-websocket-protocol", value)];
    let is = |token: &str, native| Ok((Some(token.to_owned()), native));
    assert_eq!(found("/ws", &[]), Ok((None, false)));
    assert_eq!(
        found("/ws", &[("authorization", "Bearer a.b.c")]),
        is("a.b.c", false)
    );
    assert_eq!(
        found("/ws", &[("authorization", "bearer   a.b.c ")]),
        is("a.b.c", false)
    );
    assert_eq!(found("/ws", &[("authorization", "Bearer")]), is("", false));
    assert_eq!(found("/ws?access_token=t&token=u", &[]), is("t", false));
    assert_eq!(found("/ws?token=u", &[]), is("u", false));
    assert_eq!(found("/ws?token=", &[]), is("", false));
    assert_eq!(
        found("/ws", &protocols("tertulia.v1, bearer.a.b.c")),
        is("a.b.c", true)
    );
    assert_eq!(
        found("/ws", &protocols("bearer.a,tertulia.v1,chat,bearer.b")),
        is("a", true)
    );
    assert_eq!(found("/ws", &protocols("tertulia.v1")), Ok((None, true)));
    assert_eq!(
        found("/ws?token=u", &protocols("tertulia.v1, bearer.b")),
        is("u", true)
    );
    let both = [
        ("authorization", "Bearer h"),
        ("sec-websocket-protocol", "tertulia.v1, bearer.b"),
    ];
    assert_eq!(found("/ws?token=u", &both), is("h", true));
    for (target, headers, code) in [
        ("/ws", protocols("bearer.a.b.c"), Code::Unsupported),
        ("/ws", protocols("chat"), Code::Unsupported),
        ("/ws", protocols("Tertulia.v1"), Code::Unsupported),
        (
            "/ws",
            [("authorization", "Basic YTpi")],
            Code::TokenMalformed,
        ),
        ("/ws?token=a&token=b", [("x", "")], Code::InvalidPayload),
    ] {
        assert_eq!(found(target, &headers), Err(code), "{target} {headers:?}");
    }
}

fn entry(target: &str) -> Result<Entry, Code> {
    with("GET", target, &[("upgrade", "WebSocket")], |request| {
        let Ok(Route::Socket(in_path)) = Route::parse(request.method, request.path) else {
            panic!("{target}")
        };
        let query = Query::parse(request.query)?;
        Entry::parse(request, &query, in_path.as_ref())
    })
    .map_err(|rejected: Rejected| rejected.code)
}

#[test]
fn the_url_of_a_socket_says_where_and_from_where() {
    for (target, name) in [
        ("/rooms/a/ws", Some("a")),
        ("/rooms/a/ws?room=b", Some("a")),
        ("/ws?room=b", Some("b")),
        ("/ws?conversationId=c", Some("c")),
        ("/ws?conversationId=c&room=b", Some("b")),
        ("/ws", None),
    ] {
        let entry = entry(target).unwrap();
        assert_eq!(entry.room.as_deref(), name, "{target}");
        assert_eq!(
            entry.room().map_err(|rejected| rejected.code).is_ok(),
            name.is_some()
        );
        assert_eq!(entry.guest.is_some(), target.contains("conversationId"));
    }
    let rejected = entry("/ws").unwrap().room().unwrap_err().clone();
    assert_eq!(rejected.code, Code::NotHere);
    assert!(rejected.detail.contains("/ws?room="), "says what to do");

    let full = entry("/ws?room=r&epoch=0000000000ab&seq=0&last=100&meta=x").unwrap();
    assert_eq!(
        full.join.since,
        Some(Since {
            epoch: Epoch(0xab),
            seq: Seq(0)
        })
    );
    assert_eq!((full.join.last, full.join.meta), (Some(100), None));

    let guest = entry("/ws?conversationId=c&guest=0123456789abcdef&name=Ana+Mar%C3%ADa").unwrap();
    let guest = guest.guest.unwrap();
    assert_eq!(guest.secret.as_deref(), Some("0123456789abcdef"));
    assert_eq!(guest.name.as_deref(), Some("Ana María"));
    assert_eq!(entry("/ws?room=r&guest=x&name=y").unwrap().guest, None);
}

#[test]
fn the_url_of_a_socket_is_refused_by_its_parameter() {
    for (target, code) in [
        ("/ws?room=a+b", Code::InvalidName),
        ("/ws?room=", Code::InvalidName),
        ("/ws?conversationId=%2F", Code::InvalidName),
        ("/rooms/a/ws?room=%20", Code::InvalidName),
        ("/ws?room=r&room=r", Code::InvalidPayload),
        ("/ws?room=r&epoch=0000000000ab", Code::InvalidPayload),
        ("/ws?room=r&seq=1", Code::InvalidPayload),
        ("/ws?room=r&epoch=0000000000AB&seq=1", Code::InvalidPayload),
        (
            "/ws?room=r&epoch=0000000000ab&seq=9007199254740992",
            Code::InvalidPayload,
        ),
        ("/ws?room=r&epoch=0000000000ab&seq=x", Code::InvalidPayload),
        ("/ws?room=r&last=101", Code::InvalidPayload),
        ("/ws?room=%ff", Code::BadMessage),
    ] {
        assert_eq!(entry(target), Err(code), "{target}");
    }
    let plain = with("GET", "/ws?room=r", &[], |request| {
        Entry::parse(request, &Query::parse(request.query).unwrap(), None)
    });
    assert_eq!(plain.unwrap_err().code, Code::Unsupported);
}

#[test]
fn what_is_shown_of_a_request_holds_no_token() {
    let headers = [("sec-websocket-protocol", "tertulia.v1, bearer.secret")];
    with("GET", "/ws?token=secret", &headers, |request| {
        let query = Query::parse(request.query).unwrap();
        let shown = format!("{request:?} {query:?} {:?}", Offer::parse(request));
        assert!(!shown.contains("secret"), "{shown}");
    });
}

#[test]
fn no_mutation_of_a_request_panics_or_is_a_500() {
    let seeds = [
        (
            "GET",
            "/v1/rooms/r/messages?after=1&types=message,job&limit=5",
            "",
        ),
        ("GET", "/v1/rooms/r%3A1/jobs/0000000000ab-j4?x=%C3%B1+a", ""),
        (
            "GET",
            "/ws?conversationId=c&epoch=0000000000ab&seq=4&last=5&token=a.b.c",
            "",
        ),
        (
            "POST",
            "/v1/rooms/r/messages",
            r#"{"type":"t","body":{"a":[1]},"exclude":["u"]}"#,
        ),
        (
            "POST",
            "/v1/rooms/r/jobs",
            r#"{"kind":"ai.chat","input":{"prompt":"p"},"key":"k"}"#,
        ),
    ];
    let scraps = [
        "%", "/", "?", "&", "=", "+", "%2", "%ff", "\"", "{", "}", "[", "\\", "ñ", ",",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut mutated = |text: &str| {
        let mut text: Vec<char> = text.chars().collect();
        for _ in 0..random.usize(..4) {
            let at = random.usize(..=text.len());
            match random.u8(..3) {
                0 => text.truncate(at),
                1 if at < text.len() => _ = text.remove(at),
                _ => _ = text.splice(at..at, scraps[random.usize(..scraps.len())].chars()),
            }
        }
        text.into_iter().collect::<String>()
    };
    for round in 0..20_000 {
        let (method, target, body) = seeds[round % seeds.len()];
        let (target, body) = (mutated(target), mutated(body));
        let headers = [("upgrade", "websocket"), ("authorization", "Bearer x")];
        let result: Result<(), Refusal> = with(method, &target, &headers, |request| {
            let route = Route::parse(request.method, request.path)?;
            let query = Query::parse(request.query)?;
            token::find(request, &query, &Offer::default())?;
            match route {
                Route::Room(_, action) => drop(rest::op(action, request, &query, &body)?),
                Route::Socket(room) => drop(Entry::parse(request, &query, room.as_ref())?),
                Route::About | Route::Health => {}
            }
            Ok(())
        });
        if let Err(refusal) = result {
            assert!(
                problem::response(&refusal).status < 500,
                "{method} {target} {body}"
            );
        }
    }
}

//! The configuration of the Worker: variables and secrets in, a typed [`Config`] out. Reads
//! strings through a function it is given and knows nothing of bindings. Nonsense is refused
//! with the variable's name; every variable but the keys has a safe default.
//! Source: `interface.md`, "Configuration".

mod read;

use std::fmt;

use crate::id::RoomName;
use crate::limits::{BACKOFF_MAX, PAGE_MAX_BYTES, PROMPT_MAX_BYTES, SOCKETS_MAX};
use crate::time::Millis;
use read::{Read, Variables, is_base_url, wrong};

/// What an operator decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub auth: AuthConfig,
    pub allowed_origins: Origins,
    /// Role, in lower case, and the room entered by it.
    pub role_rooms: Vec<(String, RoomName)>,
    pub presence_ttl: Millis,
    pub presence_grace: Millis,
    pub heartbeat: Millis,
    pub client_timeout: Millis,
    pub idle_timeout: Millis,
    pub max_message_bytes: usize,
    pub max_connections_per_room: usize,
    pub max_connections_per_user: usize,
    /// Messages a second of one connection; 0 is off. The burst is twice that.
    pub rate_messages_per_s: u32,
    /// Connects a minute of one address; 0 is off.
    pub rate_connects_per_min: u32,
    pub history_max: u64,
    pub history_ttl: Millis,
    pub queue_fallback: Millis,
    pub guest_jobs_per_min: u64,
    pub ai: AiConfig,
    pub jobs: JobsConfig,
    pub log_level: LogLevel,
    pub detailed_errors: bool,
}

/// Who may call, as text; `auth/` makes keys of it.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// `JWT_SECRET`, one a line.
    pub secrets: Vec<String>,
    /// `JWT_PUBLIC_KEY`, PEM, one after the other.
    pub public_keys: Vec<String>,
    /// `JWT_ALGORITHM`: narrows what the keys allow. Empty: any of theirs.
    pub algorithms: Vec<Algorithm>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub leeway: Millis,
    /// Space-separated scopes of a token without `scope`.
    pub default_scope: String,
    pub allow_guests: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Hs256,
    Rs256,
}

/// `ALLOWED_ORIGINS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    Any,
    List(Vec<String>),
    Same,
}

/// Where answers come from.
#[derive(Clone, PartialEq, Eq)]
pub struct AiConfig {
    pub provider: AiProvider,
    pub base_url: String,
    pub api_key: Option<String>,
    pub model: String,
    pub system_prompt: Option<String>,
    /// For one attempt, first byte to last.
    pub timeout: Millis,
    pub max_tokens: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AiProvider {
    Extractive,
    OpenAi,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsConfig {
    pub max_attempts: u32,
    pub lease: Millis,
    pub backoff: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// A variable that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongVariable {
    pub name: &'static str,
    pub detail: String,
}

impl Config {
    /// Reads every variable through `get`. A blank one counts as absent.
    ///
    /// # Errors
    /// The first variable that makes no sense, and what is allowed there. The detail is shown to
    /// whoever asks, so it never repeats the value.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, WrongVariable> {
        let v = Variables(get);
        let presence_ttl = v.millis("PRESENCE_TTL_MS", 10_000, 1_000, HOUR_MS)?;
        Ok(Self {
            auth: AuthConfig::read(&v)?,
            allowed_origins: v.origins("ALLOWED_ORIGINS")?,
            role_rooms: v.role_rooms("ROLE_ROOMS")?,
            presence_ttl,
            presence_grace: v.millis("PRESENCE_GRACE_MS", 5_000, 0, HOUR_MS)?,
            heartbeat: v.heartbeat("HEARTBEAT_MS", presence_ttl)?,
            client_timeout: v.millis("CLIENT_TIMEOUT_MS", 90_000, 1_000, DAY_MS)?,
            idle_timeout: v.millis("IDLE_TIMEOUT_MS", HOUR_MS, 1_000, 7 * DAY_MS)?,
            max_message_bytes: v.number("MAX_MESSAGE_BYTES", 524_288, 1_024, PAGE_MAX_BYTES)?,
            max_connections_per_room: v.number(
                "MAX_CONNECTIONS_PER_ROOM",
                5_000,
                1,
                SOCKETS_MAX,
            )?,
            max_connections_per_user: v.number("MAX_CONNECTIONS_PER_USER", 20, 1, SOCKETS_MAX)?,
            rate_messages_per_s: v.number("RATE_MESSAGES_PER_S", 50, 0, 100_000)?,
            rate_connects_per_min: v.number("RATE_CONNECTS_PER_MIN", 600, 0, 1_000_000)?,
            history_max: v.number("HISTORY_MAX", 10_000, 0, 1_000_000)?,
            history_ttl: v.seconds("HISTORY_TTL_S", 604_800, 1, 3_650 * DAY_MS / 1_000)?,
            queue_fallback: v.millis("QUEUE_FALLBACK_MS", 5_000, 0, HOUR_MS)?,
            guest_jobs_per_min: v.number("GUEST_JOBS_PER_MIN", 3, 0, 10_000)?,
            ai: AiConfig::read(&v)?,
            jobs: JobsConfig {
                max_attempts: v.number("JOBS_MAX_ATTEMPTS", 5, 1, 100)?,
                lease: v.millis("JOBS_LEASE_MS", 30_000, 1_000, HOUR_MS)?,
                backoff: v.millis("JOBS_BACKOFF_MS", 1_000, 1, BACKOFF_MAX.0)?,
            },
            log_level: v.word("LOG_LEVEL", LogLevel::Info, &LOG_LEVELS)?,
            detailed_errors: v.word("DETAILED_ERRORS", false, &FLAGS)?,
        })
    }
}

impl AuthConfig {
    fn read(v: &Variables<'_>) -> Read<Self> {
        if v.text("JWKS_URL").is_some() {
            return wrong(
                "JWKS_URL",
                "key sets are not read yet; put the keys in JWT_PUBLIC_KEY",
            );
        }
        Ok(Self {
            secrets: v.secrets("JWT_SECRET")?,
            public_keys: v.pem_blocks("JWT_PUBLIC_KEY")?,
            algorithms: v.algorithms("JWT_ALGORITHM")?,
            issuer: v.text("JWT_ISSUER"),
            audience: v.text("JWT_AUDIENCE"),
            leeway: v.seconds("JWT_LEEWAY_S", 30, 0, 3_600)?,
            default_scope: v.scope("DEFAULT_SCOPE")?,
            allow_guests: v.word("ALLOW_GUESTS", false, &FLAGS)?,
        })
    }
}

impl AiConfig {
    fn read(v: &Variables<'_>) -> Read<Self> {
        let provider = match v.text("AI_PROVIDER").as_deref() {
            None | Some("extractive") => AiProvider::Extractive,
            Some("openai") => AiProvider::OpenAi,
            Some("workers-ai") => {
                return wrong(
                    "AI_PROVIDER",
                    "`workers-ai` is not built in yet; use `openai`",
                );
            }
            Some(_) => return wrong("AI_PROVIDER", "one of extractive, openai"),
        };
        let needed = |name| match v.text(name) {
            Some(value) => Ok(value),
            None if provider == AiProvider::Extractive => Ok(String::new()),
            None => wrong(name, "needed when AI_PROVIDER is `openai`"),
        };
        let base_url = needed("AI_BASE_URL")?;
        if !base_url.is_empty() && !is_base_url(&base_url) {
            let detail = "http:// or https://, a host and perhaps a path, as https://host/v1; \
                          no name, password, query or fragment";
            return wrong("AI_BASE_URL", detail);
        }
        let api_key = v.text("AI_API_KEY");
        if api_key
            .as_deref()
            .is_some_and(|key| !key.bytes().all(|b| b.is_ascii_graphic()))
        {
            return wrong(
                "AI_API_KEY",
                "visible ASCII characters: it travels in a header",
            );
        }
        let system_prompt = v.text("AI_SYSTEM_PROMPT");
        if system_prompt
            .as_deref()
            .is_some_and(|prompt| prompt.len() > PROMPT_MAX_BYTES)
        {
            return wrong(
                "AI_SYSTEM_PROMPT",
                format!("at most {PROMPT_MAX_BYTES} bytes"),
            );
        }
        let max_tokens = v.number("AI_MAX_TOKENS", 0, 1, 1_000_000)?; // 0: left to the provider
        Ok(Self {
            provider,
            base_url: base_url.trim_end_matches('/').to_owned(),
            api_key,
            model: needed("AI_MODEL")?,
            system_prompt,
            timeout: v.seconds("AI_TIMEOUT_S", 60, 1, 600)?,
            max_tokens: (max_tokens > 0).then_some(max_tokens),
        })
    }
}

impl Algorithm {
    pub const ALL: [Algorithm; 4] = [
        Algorithm::EdDsa,
        Algorithm::Es256,
        Algorithm::Hs256,
        Algorithm::Rs256,
    ];

    /// As in the `alg` of a token's header (RFC 7518 §3.1, RFC 8037 §3.1).
    pub const fn word(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Hs256 => "HS256",
            Algorithm::Rs256 => "RS256",
        }
    }
}

/// Without the secrets: this ends up in logs and panics.
impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("secrets", &self.secrets.len())
            .field("public_keys", &self.public_keys.len())
            .field("algorithms", &self.algorithms)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("leeway", &self.leeway)
            .field("default_scope", &self.default_scope)
            .field("allow_guests", &self.allow_guests)
            .finish()
    }
}

/// Without the key.
impl fmt::Debug for AiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AiConfig")
            .field("provider", &self.provider)
            .field("base_url", &self.base_url)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .field("model", &self.model)
            .field("system_prompt", &self.system_prompt)
            .field("timeout", &self.timeout)
            .field("max_tokens", &self.max_tokens)
            .finish()
    }
}

impl fmt::Display for WrongVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

impl std::error::Error for WrongVariable {}

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const FLAGS: [(&str, bool); 4] = [("true", true), ("false", false), ("1", true), ("0", false)];
const LOG_LEVELS: [(&str, LogLevel); 4] = [
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, WrongVariable> {
        Config::read(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn refused(variables: &[(&str, &str)]) -> WrongVariable {
        read(variables).expect_err("nonsense is refused")
    }

    #[test]
    fn without_variables_every_default_is_that_of_the_table() {
        let config = read(&[]).unwrap();
        let millis = |length: Millis| length.0;
        assert_eq!(
            [
                config.presence_ttl,
                config.presence_grace,
                config.heartbeat,
                config.client_timeout,
                config.idle_timeout,
                config.history_ttl,
                config.queue_fallback,
                config.jobs.lease,
                config.jobs.backoff,
                config.auth.leeway,
                config.ai.timeout,
            ]
            .map(millis),
            [
                10_000,
                5_000,
                4_000,
                90_000,
                3_600_000,
                604_800_000,
                5_000,
                30_000,
                1_000,
                30_000,
                60_000
            ]
        );
        assert_eq!(config.max_message_bytes, 524_288);
        assert_eq!(
            (
                config.max_connections_per_room,
                config.max_connections_per_user
            ),
            (5000, 20)
        );
        assert_eq!(
            (config.rate_messages_per_s, config.rate_connects_per_min),
            (50, 600)
        );
        assert_eq!((config.history_max, config.guest_jobs_per_min), (10_000, 3));
        assert_eq!(
            (config.jobs.max_attempts, config.log_level),
            (5, LogLevel::Info)
        );
        assert_eq!(config.allowed_origins, Origins::Same);
        assert!(!config.auth.allow_guests && !config.detailed_errors);
        assert!(config.auth.secrets.is_empty() && config.auth.public_keys.is_empty());
        assert!(config.auth.algorithms.is_empty());
        assert_eq!(config.auth.default_scope.split(' ').count(), 8);
        assert_eq!(config.ai.provider, AiProvider::Extractive);
        assert_eq!((config.ai.api_key, config.ai.max_tokens), (None, None));
        let rooms: Vec<_> = config
            .role_rooms
            .iter()
            .map(|(role, room)| (role.as_str(), &**room))
            .collect();
        assert_eq!(
            rooms,
            [
                ("admin", "admin"),
                ("advisor", "advisor"),
                ("analyst", "admin"),
                ("client", "client"),
                ("support", "admin")
            ]
        );
    }

    #[test]
    fn blank_is_absent() {
        let blank = Config::read(&|_| Some(" \n".to_owned())).unwrap();
        assert_eq!(blank, read(&[]).unwrap());
    }

    #[test]
    fn nonsense_is_refused_by_name_and_never_repeated() {
        for (name, value) in [
            ("PRESENCE_TTL_MS", "999"),
            ("PRESENCE_TTL_MS", "3600001"),
            ("PRESENCE_TTL_MS", "+5000"),
            ("PRESENCE_TTL_MS", "1e4"),
            ("PRESENCE_GRACE_MS", "-1"),
            ("HEARTBEAT_MS", "10000"),
            ("HEARTBEAT_MS", "99"),
            ("CLIENT_TIMEOUT_MS", "0"),
            ("IDLE_TIMEOUT_MS", "soon"),
            ("MAX_MESSAGE_BYTES", "1048577"),
            ("MAX_CONNECTIONS_PER_ROOM", "40000"),
            ("MAX_CONNECTIONS_PER_USER", "0"),
            ("RATE_MESSAGES_PER_S", "99999999999999999999"),
            ("RATE_CONNECTS_PER_MIN", "many"),
            ("HISTORY_MAX", "1000001"),
            ("HISTORY_TTL_S", "0"),
            ("QUEUE_FALLBACK_MS", "3600001"),
            ("GUEST_JOBS_PER_MIN", "10001"),
            ("JOBS_MAX_ATTEMPTS", "0"),
            ("JOBS_LEASE_MS", "999"),
            ("JOBS_BACKOFF_MS", "300001"),
            ("LOG_LEVEL", "loud"),
            ("DETAILED_ERRORS", "perhaps"),
            ("ALLOW_GUESTS", "ja"),
            ("ALLOWED_ORIGINS", "chat.test"),
            ("ALLOWED_ORIGINS", "https://a.example, *"),
            ("ALLOWED_ORIGINS", "https://a.example/app"),
            ("ALLOWED_ORIGINS", "null"),
            ("ROLE_ROOMS", "admin"),
            ("ROLE_ROOMS", r#"{"admin":"~lobby"}"#),
            ("ROLE_ROOMS", r#"{"admin":"user_ana"}"#),
            ("ROLE_ROOMS", r#"{"":"admin"}"#),
            ("ROLE_ROOMS", r#"{"admin":7}"#),
            ("JWKS_URL", "https://issuer.example/keys"),
            ("JWT_SECRET", "fifteen letters"),
            (
                "JWT_SECRET",
                "a secret that is long enough\nand a short one",
            ),
            (
                "JWT_SECRET",
                "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCr\n",
            ),
            ("JWT_PUBLIC_KEY", "MIIBIjANBg"),
            ("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nMIIB"),
            ("JWT_ALGORITHM", "HS256,HS512"),
            ("JWT_ALGORITHM", "none"),
            ("JWT_LEEWAY_S", "3601"),
            ("DEFAULT_SCOPE", "rooms:join rooms:destroy"),
            ("AI_PROVIDER", "clippy"),
            ("AI_PROVIDER", "workers-ai"),
            ("AI_BASE_URL", "localhost:11434/v1"),
            ("AI_BASE_URL", "https:///v1"),
            ("AI_BASE_URL", "https://key@host/v1"),
            ("AI_BASE_URL", "https://host/v1?key=1"),
            ("AI_API_KEY", "sk-1\u{e9}"),
            ("AI_TIMEOUT_S", "601"),
            ("AI_MAX_TOKENS", "0"),
        ] {
            let refusal = refused(&[(name, value)]);
            assert_eq!(refusal.name, name, "{value}");
            assert!(!refusal.detail.is_empty());
            // One short value is a word of what is allowed, or named on purpose.
            let may_be_named = value.len() < 4 || value == "workers-ai" || value == "admin";
            assert!(may_be_named || !refusal.detail.contains(value), "{refusal}");
        }
    }

    #[test]
    fn the_heartbeat_keeps_ahead_of_the_ttl() {
        assert_eq!(
            read(&[("PRESENCE_TTL_MS", "2000")]).unwrap().heartbeat,
            Millis(800)
        );
        assert_eq!(
            read(&[("PRESENCE_TTL_MS", "60000")]).unwrap().heartbeat,
            Millis(4_000)
        );
        let both = [("PRESENCE_TTL_MS", "2000"), ("HEARTBEAT_MS", "2000")];
        assert_eq!(refused(&both).name, "HEARTBEAT_MS");
    }

    #[test]
    fn keys_are_told_apart() {
        let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        let escaped = pem.replace('\n', "\\n");
        let keys = format!("first\r\n{pem}\nsecond:\n{escaped}");
        let config = read(&[
            (
                "JWT_SECRET",
                "a secret of some length\r\n\n another, with a space ",
            ),
            ("JWT_PUBLIC_KEY", &keys),
            ("JWT_ALGORITHM", "rs256, EdDSA"),
        ]);
        let auth = config.unwrap().auth;
        assert_eq!(
            auth.secrets,
            ["a secret of some length", " another, with a space "]
        );
        assert_eq!(auth.public_keys, [pem, pem]);
        assert_eq!(auth.algorithms, [Algorithm::Rs256, Algorithm::EdDsa]);
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let list = "https://App.example.com/ http://localhost:8787,https://b.example:443";
        assert_eq!(
            read(&[("ALLOWED_ORIGINS", list)]).unwrap().allowed_origins,
            Origins::List(vec![
                "https://app.example.com".into(),
                "http://localhost:8787".into(),
                "https://b.example".into()
            ])
        );
        assert_eq!(
            read(&[("ALLOWED_ORIGINS", "*")]).unwrap().allowed_origins,
            Origins::Any
        );
    }

    #[test]
    fn role_rooms_compare_without_case_and_may_be_none() {
        let rooms = read(&[("ROLE_ROOMS", r#"{"Boss":"Office"}"#)])
            .unwrap()
            .role_rooms;
        assert_eq!(
            rooms,
            [("boss".to_owned(), RoomName::parse("Office").unwrap())]
        );
        assert!(read(&[("ROLE_ROOMS", "{}")]).unwrap().role_rooms.is_empty());
    }

    #[test]
    fn openai_needs_its_address_and_its_model() {
        let mut variables = vec![("AI_PROVIDER", "openai")];
        assert_eq!(refused(&variables).name, "AI_BASE_URL");
        variables.push(("AI_BASE_URL", "http://127.0.0.1:9/v1/"));
        assert_eq!(refused(&variables).name, "AI_MODEL");
        variables.push(("AI_MODEL", "small"));
        variables.push(("AI_MAX_TOKENS", "200"));
        let ai = read(&variables).unwrap().ai;
        assert_eq!(
            (ai.base_url.as_str(), ai.model.as_str()),
            ("http://127.0.0.1:9/v1", "small")
        );
        assert_eq!(
            (ai.provider, ai.max_tokens),
            (AiProvider::OpenAi, Some(200))
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let config = read(&[
            ("JWT_SECRET", "correct horse battery staple"),
            ("AI_API_KEY", "sk-very-secret"),
        ]);
        let shown = format!("{config:?}");
        assert!(shown.contains("secrets: 1"));
        assert!(
            !shown.contains("horse") && !shown.contains("sk-very"),
            "{shown}"
        );
    }
}

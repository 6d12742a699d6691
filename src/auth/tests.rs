//! Tokens of other people's making (RFC 7515, RFC 8037, OpenSSL) and every refusal, one by one.

use jwt_compact::Algorithm as _;
use jwt_compact::AlgorithmSignature as _;
use jwt_compact::alg::{Hs256, Hs256Key};
use serde_json::{Value, json};

use super::base64::{Alphabet, decode};
use super::key::Key;
use super::{Keys, authenticate, pem};
use crate::config::{Algorithm, AuthConfig, Config};
use crate::error::{Code, Rejected};
use crate::grant::{Grant, Scope};
use crate::time::{Millis, Timestamp};

const SECRET: &str = "a secret for tests only, of 40 bytes....";
/// 2025-01-01.
const NOW_S: u64 = 1_735_689_600;

/// Made once, see their `about` and `source`.
fn vectors() -> (Value, Vec<Value>) {
    let read = |text| serde_json::from_str(text).unwrap();
    let rfc: Value = read(include_str!("../../tests/vectors/jwt/rfc.json"));
    let tokens = read(include_str!("../../tests/vectors/jwt/tokens.json"));
    (tokens, rfc.as_array().unwrap().clone())
}

fn config(secrets: &[&str], pems: &[&str]) -> AuthConfig {
    let mut auth = Config::read(&|_| None).unwrap().auth;
    auth.secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    auth.public_keys = pems.iter().map(|pem| (*pem).to_owned()).collect();
    auth
}

fn ask(token: &str, config: &AuthConfig) -> Result<Grant, Rejected> {
    let keys = Keys::from(config).unwrap();
    authenticate(token, &keys, config, Timestamp(NOW_S * 1000))
}

fn code(token: &str, config: &AuthConfig) -> Code {
    let refusal = ask(token, config).unwrap_err();
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!refusal.detail.contains(part), "{refusal}");
    }
    refusal.code
}

fn base64url(bytes: &[u8]) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|at| text.push(char::from(SYMBOLS[word >> (18 - 6 * at) & 63])));
    }
    text
}

/// Signs whatever it is given, with [`SECRET`].
fn signed(header: &str, payload: &str) -> String {
    let text = format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(payload.as_bytes())
    );
    let signature = Hs256.sign(&Hs256Key::new(SECRET), text.as_bytes());
    format!("{text}.{}", base64url(&signature.as_bytes()))
}

/// A good token with these claims besides (or instead of) its own; null takes one out.
fn token(claims: Value) -> String {
    let mut all = json!({"sub": "ana", "exp": NOW_S + 60});
    for (claim, value) in claims.as_object().unwrap() {
        match value {
            Value::Null => all.as_object_mut().unwrap().remove(claim),
            value => all
                .as_object_mut()
                .unwrap()
                .insert(claim.clone(), value.clone()),
        };
    }
    signed(r#"{"alg":"HS256"}"#, &all.to_string())
}

fn granted(claims: Value) -> Grant {
    ask(&token(claims), &config(&[SECRET], &[])).unwrap()
}

fn refused(claims: Value) -> Code {
    code(&token(claims), &config(&[SECRET], &[]))
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    for vector in vectors().1 {
        let key = match vector["pem"].as_str() {
            Some(text) => Key::public(pem::read(text).unwrap()).unwrap(),
            None => {
                let secret = vector["secret_base64url"].as_str().unwrap();
                Key::secret(&decode(secret, Alphabet::Url).unwrap())
            }
        };
        assert_eq!(vector["alg"], key.algorithm().word());
        let (message, signature) = vector["token"].as_str().unwrap().rsplit_once('.').unwrap();
        let mut signature = decode(signature, Alphabet::Url).unwrap();
        assert!(
            key.verifies(message.as_bytes(), &signature),
            "{}",
            vector["source"]
        );
        assert!(!key.verifies(&message.as_bytes()[1..], &signature));
        assert!(!key.verifies(message.as_bytes(), &signature[1..]));
        assert!(!key.verifies(message.as_bytes(), &[]));
        signature[7] ^= 1;
        assert!(!key.verifies(message.as_bytes(), &signature));
    }
}

#[test]
fn tokens_of_all_four_algorithms_are_let_in_by_their_key_alone() {
    let tokens = vectors().0;
    let text = |name: &str| tokens[name].as_str().unwrap();
    let keys = [
        ("hs256", config(&[text("secret")], &[])),
        ("rs256", config(&[], &[text("rsa_pem")])),
        ("rs256", config(&[], &[text("rsa_pkcs1_pem")])),
        ("es256", config(&[], &[text("p256_pem")])),
        ("eddsa", config(&[], &[text("ed25519_pem")])),
    ];
    for (signed_by, config) in &keys {
        let grant = ask(text(signed_by), config).unwrap();
        assert_eq!((&*grant.user, grant.name.as_deref()), ("ana", Some("Ana")));
        assert_eq!(grant.roles, ["advisor"]);
        assert_eq!(grant.expires_at, Some(Timestamp(4_102_444_830_000)));
        for other in ["hs256", "rs256", "es256", "eddsa"]
            .into_iter()
            .filter(|o| o != signed_by)
        {
            assert_eq!(
                code(text(other), config),
                Code::TokenAlgorithm,
                "{signed_by} {other}"
            );
        }
    }
}

#[test]
fn several_keys_are_all_tried() {
    let tokens = vectors().0;
    let text = |name: &str| tokens[name].as_str().unwrap();
    let both = config(
        &["another secret, of some length", text("secret")],
        &[text("rsa_other_pem"), text("ed25519_pem"), text("rsa_pem")],
    );
    for signed_by in ["hs256", "rs256", "rs256_of_other_key", "eddsa"] {
        assert!(ask(text(signed_by), &both).is_ok(), "{signed_by}");
    }
    let narrowed = AuthConfig {
        algorithms: vec![Algorithm::Rs256],
        ..both
    };
    assert!(ask(text("rs256"), &narrowed).is_ok());
    assert_eq!(code(text("hs256"), &narrowed), Code::TokenAlgorithm);
}

#[test]
fn the_token_does_not_choose_the_algorithm() {
    let tokens = vectors().0;
    let text = |name: &str| tokens[name].as_str().unwrap();
    let rsa = config(&[], &[text("rsa_pem")]);
    for confused in [
        "none",
        "hs256_with_rsa_pem_as_secret",
        "rs256_signature_under_header_rs512",
    ] {
        assert_eq!(
            code(text(confused), &rsa),
            Code::TokenAlgorithm,
            "{confused}"
        );
    }
    // With a secret configured too the header is right, and the public key still is no secret.
    let both = config(&[SECRET], &[text("rsa_pem")]);
    assert_eq!(
        code(text("hs256_with_rsa_pem_as_secret"), &both),
        Code::TokenSignature
    );
    for header in [
        "none", "None", "", "hs256", "HS512", "RS256", "ES256", "EdDSA",
    ] {
        let header = json!({"alg": header}).to_string();
        let good = signed(&header, r#"{"sub":"ana"}"#);
        assert_eq!(
            code(&good, &config(&[SECRET], &[])),
            Code::TokenAlgorithm,
            "{header}"
        );
    }
}

#[test]
fn keys_that_are_none_are_named_to_the_operator() {
    let tokens = vectors().0;
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let good = text("ed25519_pem");
    for bad in [
        text("rsa_1024_pem"),
        text("p384_pem"),
        text("private_pem_header_only"),
        text("private_pem_header_only").replace("PRIVATE KEY", "CERTIFICATE"),
        good.replace("END PUBLIC", "END PRIVATE"),
        good.replace("PUBLIC KEY", "OPENSSH KEY"),
        good.replace("MCow", "MCox"),
        good.replace("MCow", "MC w"),
        text("p256_pem").replace("MFkw", "MFkx"),
        text("rsa_pem").replace("PUBLIC KEY", "RSA PUBLIC KEY"),
        text("rsa_pkcs1_pem").replace("RSA ", ""),
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----".to_owned(),
        "-----BEGIN PUBLIC KEY-----".to_owned(),
        String::new(),
    ] {
        let wrong = Keys::from(&config(&[], &[&good, &bad])).unwrap_err();
        assert_eq!(wrong.name, "JWT_PUBLIC_KEY");
        assert!(wrong.detail.starts_with("key 2: "), "{wrong}");
    }
    let none = AuthConfig {
        algorithms: vec![Algorithm::Es256],
        ..config(&[SECRET], &[&good])
    };
    assert_eq!(Keys::from(&none).unwrap_err().name, "JWT_ALGORITHM");
}

#[test]
fn every_prefix_of_a_key_is_refused_without_a_panic() {
    let tokens = vectors().0;
    for name in ["rsa_pem", "rsa_pkcs1_pem", "p256_pem", "ed25519_pem"] {
        let text = tokens[name].as_str().unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        let (body, tail) = rest.split_at(rest.find("-----END").unwrap());
        let body = body.replace('\n', "");
        for length in (0..body.len()).step_by(4) {
            let block = format!("{head}\n{}\n{tail}", &body[..length]);
            assert!(pem::read(&block).is_err(), "{name} {length}");
        }
    }
}

#[test]
fn without_token_or_key_the_refusal_says_which() {
    let keyless = config(&[], &[]);
    assert_eq!(code("", &keyless), Code::TokenMissing);
    assert_eq!(code(" ", &config(&[SECRET], &[])), Code::TokenMissing);
    assert_eq!(code(&token(json!({})), &keyless), Code::KeyMissing);
}

#[test]
fn what_is_no_token_is_malformed() {
    let config = config(&[SECRET], &[]);
    let good = token(json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let header = r#"{"alg":"HS256"}"#;
    let nested = |depth: usize| {
        let brackets = "[".repeat(depth - 1) + &"]".repeat(depth - 1);
        signed(header, &format!(r#"{{"sub":"ana","deep":{brackets}}}"#))
    };
    for bad in [
        "abc".to_owned(),
        "a.b".to_owned(),
        "..".to_owned(),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{message}.{signature}="),
        format!("{message}.{signature} "),
        format!("{message}.sígnature"),
        good.replace('.', "\n."),
        signed("{}", r#"{"sub":"ana"}"#),
        signed(r#"{"alg":7}"#, r#"{"sub":"ana"}"#),
        signed(
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"sub":"ana"}"#,
        ),
        signed("[]", r#"{"sub":"ana"}"#),
        signed(header, ""),
        signed(header, "ana"),
        signed(header, r#"["ana"]"#),
        signed(header, r#"{"sub":"ana""#),
        signed(header, r#"{"sub":"ana","exp":1e999}"#),
        signed(header, &format!(r#"{{"sub":"{}"}}"#, "x".repeat(8192))),
        nested(65),
        nested(2_000),
    ] {
        assert_eq!(code(&bad, &config), Code::TokenMalformed, "{bad}");
    }
    assert!(ask(&nested(64), &config).is_ok());
    assert!(
        ask(
            &signed(header, r#"{"sub":"ana","brackets":"[[[\"[[["}"#),
            &config
        )
        .is_ok()
    );
}

#[test]
fn another_key_or_a_changed_token_is_a_wrong_signature() {
    let good = token(json!({}));
    assert_eq!(
        code(&good, &config(&["not the secret it is"], &[])),
        Code::TokenSignature
    );
    let other = token(json!({"sub": "eva"}));
    let (message, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let config = config(&[SECRET], &[]);
    for forged in [
        format!("{message}.{signature}"),
        format!("{message}."),
        format!("{message}.AAAA"),
    ] {
        assert_eq!(code(&forged, &config), Code::TokenSignature);
    }
    // Nothing that a claim says is told before the signature is good.
    let expired = token(json!({"exp": 1}));
    let (expired, _) = expired.rsplit_once('.').unwrap();
    assert_eq!(
        code(&format!("{expired}.{signature}"), &config),
        Code::TokenSignature
    );
}

#[test]
fn times_are_seconds_with_the_leeway() {
    // The leeway is 30 s; `exp` itself is already too late (RFC 7519 §4.1.4), `nbf` is not.
    assert_eq!(refused(json!({"exp": NOW_S - 30})), Code::TokenExpired);
    assert_eq!(
        refused(json!({"exp": NOW_S as f64 - 30.5})),
        Code::TokenExpired
    );
    assert_eq!(refused(json!({"exp": 0})), Code::TokenExpired);
    assert_eq!(refused(json!({"exp": -1})), Code::TokenExpired);
    let grant = granted(json!({"exp": NOW_S as f64 - 29.75}));
    assert_eq!(grant.expires_at, Some(Timestamp(NOW_S * 1000 + 250)));
    assert_eq!(granted(json!({"exp": null})).expires_at, None);
    assert_eq!(refused(json!({"nbf": NOW_S + 31})), Code::TokenNotYet);
    assert_eq!(
        refused(json!({"nbf": NOW_S as f64 + 30.5})),
        Code::TokenNotYet
    );
    granted(json!({"nbf": NOW_S + 30}));
    // Milliseconds by mistake are told, not taken.
    for bad in [
        json!("1735689660"),
        json!(true),
        json!([1]),
        json!(NOW_S * 1000),
        json!(1e300),
    ] {
        assert_eq!(refused(json!({"exp": bad})), Code::TokenClaims);
        assert_eq!(refused(json!({"nbf": bad})), Code::TokenClaims);
    }
    let strict = AuthConfig {
        leeway: Millis(0),
        ..config(&[SECRET], &[])
    };
    assert_eq!(
        code(&token(json!({"exp": NOW_S})), &strict),
        Code::TokenExpired
    );
    assert!(ask(&token(json!({"nbf": NOW_S})), &strict).is_ok());
}

#[test]
fn null_is_no_time_and_no_list() {
    let config = config(&[SECRET], &[]);
    for claim in ["sub", "exp", "nbf", "scope", "rooms", "jti"] {
        let payload = format!(r#"{{"sub":"ana","{claim}":null}}"#);
        assert_eq!(
            code(&signed(r#"{"alg":"HS256"}"#, &payload), &config),
            Code::TokenClaims
        );
    }
    let payload = r#"{"sub":"ana","name":null,"role":null,"roles":null}"#;
    let grant = ask(&signed(r#"{"alg":"HS256"}"#, payload), &config).unwrap();
    assert!(grant.name.is_none() && grant.roles.is_empty());
}

#[test]
fn the_subject_is_a_users_name_and_none_of_ours() {
    for bad in [
        json!(null),
        json!(7),
        json!(""),
        json!("a b"),
        json!("~x"),
        json!("ñandú"),
    ] {
        assert_eq!(refused(json!({"sub": bad})), Code::TokenClaims);
    }
    for bad in ["ai", "guest:", "guest:0123456789abcdef", &"x".repeat(256)] {
        assert_eq!(refused(json!({"sub": bad})), Code::TokenClaims, "{bad}");
    }
    for good in [
        "AI",
        "ai2",
        "guest",
        "auth0|5f7",
        "ana@example.com",
        &"x".repeat(255),
    ] {
        assert_eq!(&*granted(json!({"sub": good})).user, good);
    }
}

#[test]
fn issuer_and_audience_count_where_they_are_configured() {
    let ours = AuthConfig {
        issuer: Some("https://issuer.example/".into()),
        audience: Some("tertulia".into()),
        ..config(&[SECRET], &[])
    };
    let with = |iss: Value, aud: Value| token(json!({"iss": iss, "aud": aud}));
    let iss = json!("https://issuer.example/");
    for aud in [json!("tertulia"), json!(["other", "tertulia"])] {
        assert!(ask(&with(iss.clone(), aud), &ours).is_ok());
    }
    for (iss, aud) in [
        (json!(null), json!("tertulia")),
        (json!("https://issuer.example"), json!("tertulia")),
        (json!(["https://issuer.example/"]), json!("tertulia")),
        (iss.clone(), json!(null)),
        (iss.clone(), json!([])),
        (iss.clone(), json!("Tertulia")),
        (iss.clone(), json!({"tertulia": true})),
        (iss, json!(["tertulia", 7])),
    ] {
        assert_eq!(code(&with(iss, aud), &ours), Code::TokenClaims);
    }
    granted(json!({"iss": "anybody", "aud": "anything", "jti": "one"}));
    assert_eq!(refused(json!({"jti": 1})), Code::TokenClaims);
}

#[test]
fn names_and_roles_are_bounded() {
    assert_eq!(
        granted(json!({"name": "  Ana María "})).name.as_deref(),
        Some("Ana María")
    );
    assert_eq!(granted(json!({"name": " "})).name, None);
    assert!(granted(json!({"name": "ñ".repeat(64)})).name.is_some());
    assert_eq!(refused(json!({"name": "ñ".repeat(65)})), Code::TokenClaims);
    assert_eq!(
        refused(json!({"name": {"first": "Ana"}})),
        Code::TokenClaims
    );

    let roles = |role: Value, roles: Value| granted(json!({"role": role, "roles": roles})).roles;
    assert_eq!(roles(json!("Admin"), json!(null)), ["admin"]);
    assert_eq!(roles(json!(null), json!("CLIENT")), ["client"]);
    assert_eq!(
        roles(json!("Admin"), json!(["ÁREA", "admin ", ""])),
        ["admin", "área"]
    );
    let many = |n: usize| (0..n).map(|n| format!("role{n}")).collect::<Vec<_>>();
    assert_eq!(roles(json!(null), json!(many(32))).len(), 32);
    for bad in [
        json!(many(33)),
        json!("x".repeat(129)),
        json!(7),
        json!(["a", 7]),
        json!({}),
    ] {
        assert_eq!(refused(json!({"roles": bad})), Code::TokenClaims);
    }
}

#[test]
fn scopes_are_the_tokens_or_the_default() {
    let held = |grant: Grant| {
        Scope::ALL
            .into_iter()
            .filter(|scope| grant.scopes.has(*scope))
            .collect::<Vec<_>>()
    };
    assert_eq!(held(granted(json!({}))).len(), 8);
    let two = [Scope::RoomsHistory, Scope::RoomsJoin];
    assert_eq!(
        held(granted(json!({"scope": "openid rooms:join rooms:history"}))),
        two
    );
    assert_eq!(
        held(granted(json!({"scope": ["rooms:history", "rooms:join"]}))),
        two
    );
    assert!(held(granted(json!({"scope": ""}))).is_empty());
    assert_eq!(
        held(granted(json!({"scope": "admin"}))).len(),
        Scope::ALL.len()
    );
    for bad in [
        json!(7),
        json!({"rooms:join": true}),
        json!(["rooms:join", null]),
    ] {
        assert_eq!(refused(json!({"scope": bad})), Code::TokenClaims);
    }
}

#[test]
fn rooms_are_patterns_that_fit_their_row() {
    let rooms = |rooms: Value| {
        let patterns = granted(json!({"rooms": rooms})).rooms;
        patterns.map(|patterns| {
            patterns
                .into_iter()
                .map(|pattern| pattern.0)
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(rooms(json!(null)), None);
    assert_eq!(rooms(json!([])), Some(vec![]));
    assert_eq!(rooms(json!("orders:*")), Some(vec!["orders:*".to_owned()]));
    assert_eq!(
        rooms(json!(["a", "b*"])),
        Some(vec!["a".to_owned(), "b*".to_owned()])
    );
    assert_eq!(rooms(json!(vec!["x"; 100])).unwrap().len(), 100);
    let sixteen = vec!["x".repeat(128); 16];
    assert_eq!(rooms(json!(sixteen)).unwrap().len(), 16);
    for bad in [
        json!({"rooms": vec!["x"; 101]}),
        json!({"rooms": "x".repeat(129)}),
        json!({"rooms": sixteen, "name": "A"}),
        json!({"rooms": [1]}),
        json!({"rooms": {"orders": true}}),
    ] {
        assert_eq!(refused(bad), Code::TokenClaims);
    }
}

//! The Worker's `fetch`: an export of our own, which hands a stub's or the assets' promise on as
//! it is, a 101 with its socket included. Origin, route and token are checked here, before any
//! object is woken. Source: `interface.md`, "Paths"; `decisions.md`, "Refusals".

use std::panic::AssertUnwindSafe;

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{Headers, Request as JsRequest, RequestInit, Response as JsResponse};

use crate::auth;
use crate::config::{LogLevel, WrongVariable};
use crate::error::{Code, Rejected};
use crate::grant::{Grant, Scope};
use crate::http::connect::Entry;
use crate::http::cors::{self, Cors};
use crate::http::token::{self, Offer};
use crate::http::{Action, Query, Refusal, Request, Response, Route, about, problem, rest};
use crate::id::{ConnId, RoomName};
use crate::link::VERSION;
use crate::wire::Protocol;

use super::js::{self, Js};
use super::log::Line;
use super::request::{Parts, ROOM, assets, object, post, read_body};
use super::setup::{Setup, setup};
use super::stub::{self, Call, Enter};
use super::{clock, queue, response};

/// One request on its way through.
struct Visit {
    request: JsRequest,
    parts: Parts,
    env: JsValue,
    setup: Setup,
}

#[wasm_bindgen]
pub fn fetch(request: JsRequest, env: JsValue, _ctx: js::Context) -> Promise {
    future_to_promise(AssertUnwindSafe(async move {
        let parts = Parts::of(&request);
        match setup(&env) {
            Ok(setup) => Visit {
                request,
                parts,
                env,
                setup,
            }
            .answer()
            .await
            .map(JsValue::from),
            Err(wrong) => misconfigured(&request, &parts, &env, &wrong)
                .await
                .map(JsValue::from),
        }
    }))
}

impl Visit {
    async fn answer(&self) -> Js<JsResponse> {
        let header = |name: &str| self.request.headers().get(name).ok().flatten();
        let request = self.parts.request(&header);
        let cors = match cors::check(&request, &self.setup.config.allowed_origins) {
            Ok(cors) => cors,
            Err(rejected) => return self.refuse(&request, None, &rejected.into()),
        };
        if let Some(preflight) = cors::options(&request, cors.as_ref()) {
            return self.say(cors.as_ref(), preflight);
        }
        match Route::parse(request.method, request.path) {
            Ok(Route::About) if about::wants_page(&request) => {
                assets(&self.env, &self.request).await
            }
            Ok(Route::About) => self.say(cors.as_ref(), about::service(clock::now())),
            Ok(Route::Health) => self.say(cors.as_ref(), self.health()),
            Ok(Route::Socket(room)) => self.socket(&request, room.as_ref()).await,
            Ok(Route::Room(room, action)) => match self.call(&request, room, action).await {
                Ok(called) => decorated(called?, cors.as_ref()),
                Err(rejected) => self.refuse(&request, cors.as_ref(), &rejected.into()),
            },
            Err(refusal) if refusal.rejected.code == Code::NotFound && is_asset(&request) => {
                let asset = assets(&self.env, &self.request).await?;
                if asset.status() != 404 {
                    return Ok(asset);
                }
                self.refuse(&request, cors.as_ref(), &refusal)
            }
            Err(refusal) => self.refuse(&request, cors.as_ref(), &refusal),
        }
    }

    /// A REST request: let in here, decided in the room's object.
    async fn call(
        &self,
        request: &Request<'_>,
        room: RoomName,
        action: Action,
    ) -> Result<Js<JsResponse>, Rejected> {
        let query = Query::parse(request.query)?;
        let grant = self.caller(request, &query, &Offer::default())?;
        grant.enter(&room, &self.setup.config.role_rooms)?;
        let most = self.setup.config.max_message_bytes;
        let body = if request.method == "POST" {
            rest::check_head(request, most)?;
            read_body(&self.request, rest::body_max_bytes(most)).await?
        } else {
            Vec::new()
        };
        let text = if body.is_empty() {
            ""
        } else {
            rest::text(request, &body, most)?
        };
        let op = rest::op(action, request, &query, text)?;
        grant.require(op.scope())?;
        let request = format!("{:016x}", clock::random().bits(64));
        let call = Call {
            v: VERSION,
            room: room.clone(),
            grant,
            request,
            op,
        };
        let body = stub::write(&call);
        Ok(post(&self.env, &room, stub::CALL_PATH, &body).await)
    }

    async fn socket(&self, request: &Request<'_>, in_path: Option<&RoomName>) -> Js<JsResponse> {
        let offer = match Offer::parse(request) {
            Ok(offer) => offer,
            Err(rejected) => return self.refuse(request, None, &rejected.into()),
        };
        let enter = match self.enter(request, in_path, &offer) {
            Ok(enter) => enter,
            Err(rejected) => return self.refuse(request, None, &rejected.into()),
        };
        let entered = self.forward(&enter).await?;
        if entered.status() == 101 {
            return Ok(entered);
        }
        // The object refused it; a browser has to be told otherwise than by a status.
        let text = JsFuture::from(entered.text()?)
            .await?
            .as_string()
            .unwrap_or_default();
        let rejected = problem::read(&text)
            .unwrap_or_else(|| Rejected::new(Code::Internal, "this failed on our side"));
        self.refuse(request, None, &rejected.into())
    }

    fn enter(
        &self,
        request: &Request<'_>,
        in_path: Option<&RoomName>,
        offer: &Offer,
    ) -> Result<Enter, Rejected> {
        let query = Query::parse(request.query)?;
        let entry = Entry::parse(request, &query, in_path)?;
        let token = token::find(request, &query, offer)?;
        let config = &self.setup.config;
        let grant = match (&token, &entry.guest) {
            // A token wins over the guest's parameters.
            (None, Some(guest)) if config.auth.allow_guests => {
                let (secret, name) = (guest.secret.as_deref(), guest.name.as_deref());
                auth::guest(&guest.room, secret, name, clock::random().bits(64))?
            }
            _ => self.authenticated(token.as_deref())?,
        };
        grant.require(Scope::RoomsJoin)?;
        let room = entry.room()?.clone();
        grant.enter(&room, &config.role_rooms)?;
        let address = request.header("cf-connecting-ip").unwrap_or_default();
        Ok(Enter {
            v: VERSION,
            room,
            conn: ConnId(clock::random().bits(64)),
            grant,
            join: entry.join,
            protocol: Protocol::Native,
            subprotocol: offer.native,
            address,
        })
    }

    fn caller(
        &self,
        request: &Request<'_>,
        query: &Query<'_>,
        offer: &Offer,
    ) -> Result<Grant, Rejected> {
        self.authenticated(token::find(request, query, offer)?.as_deref())
    }

    fn authenticated(&self, token: Option<&str>) -> Result<Grant, Rejected> {
        let Setup { config, keys } = &self.setup;
        auth::authenticate(token.unwrap_or_default(), keys, &config.auth, clock::now())
    }

    /// The upgrade goes on to the object with what was found out about it.
    async fn forward(&self, enter: &Enter) -> Js<JsResponse> {
        let headers = Headers::new()?;
        headers.set("upgrade", "websocket")?;
        headers.set(stub::ENTER_HEADER, &enter.to_header())?;
        let init = RequestInit::new();
        init.set_headers(&headers);
        let url = format!("{}{}", stub::ORIGIN, stub::ENTER_PATH);
        let request = JsRequest::new_with_str_and_init(&url, &init)?;
        object(&self.env, &enter.room, &request).await
    }

    /// What the service cannot do without, and what it can do without for a while.
    fn health(&self) -> Response {
        let bound = |name, without| {
            if js::field(&self.env, name).is_undefined() {
                without
            } else {
                about::Health::Healthy
            }
        };
        let keys = if self.setup.keys.is_empty() && !self.setup.config.auth.allow_guests {
            about::Health::Degraded
        } else {
            about::Health::Healthy
        };
        about::health(&[
            ("keys", keys),
            ("queue", bound(queue::BINDING, about::Health::Degraded)),
            ("rooms", bound(ROOM, about::Health::Unhealthy)),
        ])
    }

    fn say(&self, cors: Option<&Cors>, said: Response) -> Js<JsResponse> {
        let said = said.to_method(&self.parts.method);
        response::of(&cors.map_or(said.clone(), |cors| cors.on(said)))
    }

    /// Every refusal is told and logged, with its reason and without the query, which may hold a
    /// token.
    fn refuse(
        &self,
        request: &Request<'_>,
        cors: Option<&Cors>,
        refusal: &Refusal,
    ) -> Js<JsResponse> {
        Line::new(LogLevel::Info, "refused")
            .with("method", request.method)
            .with("path", request.path)
            .with("code", refusal.rejected.code.word())
            .with("detail", refusal.rejected.detail.as_str())
            .write(self.setup.config.log_level);
        if is_native(request) {
            return response::refused_socket(&refusal.rejected);
        }
        self.say(cors, problem::response(refusal))
    }
}

/// Everything but the page refuses, and names the variable.
async fn misconfigured(
    request: &JsRequest,
    parts: &Parts,
    env: &JsValue,
    wrong: &WrongVariable,
) -> Js<JsResponse> {
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let visited = parts.request(&header);
    if parts.path == "/" {
        if about::wants_page(&visited) {
            return assets(env, request).await;
        }
        return response::of(&about::service(clock::now()));
    }
    let detail = format!(
        "the variable {} makes no sense: {}",
        wrong.name, wrong.detail
    );
    let rejected = Rejected::new(Code::Unavailable, detail);
    if is_native(&visited) {
        return response::refused_socket(&rejected);
    }
    response::of(&problem::response(&rejected.into()).to_method(&parts.method))
}

/// A WebSocket that offered our sub-protocol: its refusal is a close, because a browser can't read
/// a refused upgrade.
fn is_native(request: &Request<'_>) -> bool {
    request.is_upgrade() && Offer::parse(request).is_ok_and(|offer| offer.native)
}

/// The object's response, with what a page of another origin must see.
fn decorated(called: JsResponse, cors: Option<&Cors>) -> Js<JsResponse> {
    let Some(cors) = cors else { return Ok(called) };
    let headers = Headers::new_with_headers(&called.headers())?;
    for (name, value) in cors.on(Response::empty(200)).headers {
        headers.append(name, &value)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_status(called.status());
    init.set_headers(&headers);
    JsResponse::new_with_opt_readable_stream_and_init(called.body().as_ref(), &init)
}

fn is_asset(request: &Request<'_>) -> bool {
    matches!(request.method, "GET" | "HEAD") && !request.path.starts_with("/v1/")
}

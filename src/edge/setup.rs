//! The configuration of this isolate, read from its bindings once. It is the same for every room,
//! so it may live in a static; nothing of a room may.

use std::cell::OnceCell;
use std::rc::Rc;

use wasm_bindgen::JsValue;

use crate::auth::Keys;
use crate::config::{Config, WrongVariable};

use super::{js, log};

/// What every request needs.
#[derive(Debug, Clone)]
pub struct Setup {
    pub config: Rc<Config>,
    pub keys: Rc<Keys>,
}

thread_local! {
    static SETUP: OnceCell<Result<Setup, WrongVariable>> = const { OnceCell::new() };
}

/// # Errors
/// A variable makes no sense; it is logged once.
pub fn setup(env: &JsValue) -> Result<Setup, WrongVariable> {
    SETUP.with(|cell| cell.get_or_init(|| read(env)).clone())
}

fn read(env: &JsValue) -> Result<Setup, WrongVariable> {
    let read = || {
        let config = Config::read(&|name| js::field(env, name).as_string())?;
        let keys = Keys::from(&config.auth)?;
        Ok(Setup {
            config: Rc::new(config),
            keys: Rc::new(keys),
        })
    };
    read().inspect_err(|wrong: &WrongVariable| {
        log::broken(
            "wrong_variable",
            &format!("{}: {}", wrong.name, wrong.detail),
        );
    })
}

//! The object's SQLite behind the trait of the core. A statement is run to its end within one
//! call: no cursor outlives it. Knows no table.
//!
//! A bound number arrives in SQLite as a REAL, whatever it was: only columns of type INTEGER make
//! it whole again. The statements of the core bind numbers to such columns and to LIMIT alone.

use std::cell::RefCell;
use std::collections::HashMap;

use js_sys::{Array, ArrayBuffer, JsString, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::error::Broken;
use crate::id::NUMBER_MAX;
use crate::limits::STATEMENTS_KEPT;
use crate::sql::{Row, Sql, Value};

use super::js::{self, SqlStorage};

/// SQLite of one object.
pub struct ObjectSql {
    storage: SqlStorage,
    /// Statements as JavaScript strings, so that they are not decoded from wasm memory each time.
    statements: RefCell<HashMap<String, JsString>>,
}

impl ObjectSql {
    pub fn new(storage: SqlStorage) -> Self {
        Self {
            storage,
            statements: RefCell::default(),
        }
    }

    fn statement(&self, text: &str) -> JsString {
        let mut statements = self.statements.borrow_mut();
        if let Some(known) = statements.get(text) {
            return known.clone();
        }
        if statements.len() >= STATEMENTS_KEPT {
            statements.clear();
        }
        let string = JsString::from(text);
        statements.insert(text.to_owned(), string.clone());
        string
    }
}

impl Sql for ObjectSql {
    fn run(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, Broken> {
        let bindings = Array::new();
        for value in params {
            bindings.push(&to_js(value)?);
        }
        let rows = self
            .storage
            .exec(&self.statement(statement), &bindings)
            .and_then(|cursor| cursor.raw()?.to_array())
            .map_err(|error| Broken(format!("{}: {statement}", js::text(&error))))?;
        let row = |row: JsValue| {
            row.unchecked_into::<Array>()
                .iter()
                .map(from_js)
                .collect::<Result<_, _>>()
                .map(Row)
        };
        rows.iter().map(row).collect()
    }
}

fn to_js(value: &Value) -> Result<JsValue, Broken> {
    Ok(match value {
        Value::Blob(bytes) => Uint8Array::from(bytes.as_slice()).into(),
        Value::Int(n) if n.unsigned_abs() > NUMBER_MAX => {
            return Err(Broken(format!("an integer beyond 2^53: {n}")));
        }
        Value::Int(n) => JsValue::from_f64(*n as f64),
        Value::Null => JsValue::NULL,
        Value::Real(x) => JsValue::from_f64(*x),
        Value::Text(text) => JsValue::from_str(text),
    })
}

/// A whole number comes back as `Int`, whatever the column: JavaScript cannot tell 2 from 2.0.
fn from_js(value: JsValue) -> Result<Value, Broken> {
    if let Some(x) = value.as_f64() {
        if x.fract() != 0.0 || !x.is_finite() {
            return Ok(Value::Real(x));
        }
        if x.abs() > NUMBER_MAX as f64 {
            return Err(Broken(format!("an integer beyond 2^53: {x}")));
        }
        return Ok(Value::Int(x as i64));
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::Text(text));
    }
    if value.is_null() {
        return Ok(Value::Null);
    }
    match value.dyn_ref::<ArrayBuffer>() {
        Some(buffer) => Ok(Value::Blob(Uint8Array::new(buffer).to_vec())),
        None => Err(Broken("a value of no known type".to_owned())),
    }
}

//! Storage as the core sees it: one statement in, rows out, synchronously. Two implementations,
//! the object's SQLite (`edge/sql.rs`) and rusqlite (host tests), run the very same statements.
//! Knows no table; each machine keeps its own statements in its `store.rs`.
//!
//! Integers stay within ±2^53, because the object's SQLite speaks through JavaScript numbers.
//! Transactions are the tick's business: no statement here begins or ends one.

use crate::error::Broken;

/// A bound parameter or a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Blob(Vec<u8>),
    Int(i64),
    Null,
    Real(f64),
    Text(String),
}

/// One row of a result, read by position.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(pub Vec<Value>);

/// Runs one statement and returns all its rows.
pub trait Sql {
    /// # Errors
    /// The statement is wrong, a constraint refuses it, or storage failed: the tick is rolled
    /// back.
    fn run(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, Broken>;
}

/// Whether a table is there: asked once a life, because reads create nothing.
pub fn has_table(sql: &dyn Sql, name: &str) -> Result<bool, Broken> {
    let found = sql.run(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
        &[name.into()],
    )?;
    Ok(!found.is_empty())
}

/// Runs a schema file, statement by statement.
pub fn create(sql: &dyn Sql, schema: &str) -> Result<(), Broken> {
    for statement in statements(schema) {
        sql.run(&statement, &[])?;
    }
    Ok(())
}

/// The statements of a schema file, without the lines that are comments.
pub fn statements(schema: &str) -> Vec<String> {
    let code: Vec<&str> = schema
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    let code = code.join("\n");
    code.split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

impl Row {
    pub fn int(&self, column: usize) -> Result<i64, Broken> {
        match self.0.get(column) {
            Some(Value::Int(n)) => Ok(*n),
            // JavaScript has one kind of number: a whole one may come back as either.
            Some(Value::Real(n)) if n.fract() == 0.0 => Ok(*n as i64),
            other => Err(self.wrong("an integer", column, other)),
        }
    }

    pub fn uint(&self, column: usize) -> Result<u64, Broken> {
        u64::try_from(self.int(column)?).map_err(|_| Broken(format!("column {column} is negative")))
    }

    pub fn text(&self, column: usize) -> Result<&str, Broken> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            other => Err(self.wrong("text", column, other)),
        }
    }

    pub fn opt_uint(&self, column: usize) -> Result<Option<u64>, Broken> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.uint(column).map(Some),
        }
    }

    pub fn opt_text(&self, column: usize) -> Result<Option<&str>, Broken> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.text(column).map(Some),
        }
    }

    pub fn flag(&self, column: usize) -> Result<bool, Broken> {
        Ok(self.int(column)? != 0)
    }

    fn wrong(&self, wanted: &str, column: usize, found: Option<&Value>) -> Broken {
        Broken(format!("column {column} is not {wanted}: {found:?}"))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<u64> for Value {
    /// Past 2^63 is past 2^53 too, which the object's SQLite refuses with an error of its own.
    fn from(n: u64) -> Self {
        Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Int(i64::from(flag))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

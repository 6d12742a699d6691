//! rusqlite behind the same trait as the object's SQLite, with the object's restrictions: no
//! statement that begins or ends a transaction, no integer beyond 2^53.

use std::cell::Cell;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tertulia::error::Broken;
use tertulia::sql::{Row, Sql, Value};

pub struct Sqlite {
    connection: Connection,
    pub statements: Cell<u64>,
    /// Counts down to a statement that goes wrong, and how.
    pub fault: Cell<Option<(u64, Fault)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Fails,
    Panics,
}

impl Sqlite {
    pub fn new() -> Self {
        let connection = Connection::open_in_memory().expect("SQLite opens in memory");
        connection.set_prepared_statement_cache_capacity(256);
        Self { connection, statements: Cell::new(0), fault: Cell::new(None) }
    }

    /// A transaction as the edge has one: rolled back when the closure fails, or when the world
    /// says that the object died before its commit.
    pub fn transaction(
        &self,
        dies: bool,
        run: &mut dyn FnMut() -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.connection.execute_batch("SAVEPOINT turn").expect("a savepoint");
        let result = run();
        let undo = if result.is_err() || dies { "ROLLBACK TO turn; RELEASE turn" } else { "RELEASE turn" };
        self.connection.execute_batch(undo).expect("the savepoint ends");
        result
    }

    /// `deleteAll`.
    pub fn clear(&self) {
        let tables = self
            .run("SELECT name FROM sqlite_master WHERE type = 'table'", &[])
            .expect("the tables are listed");
        for table in tables {
            let name = table.text(0).expect("a name");
            self.connection.execute_batch(&format!("DROP TABLE {name}")).expect("dropped");
        }
    }
}

impl Sql for Sqlite {
    fn run(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, Broken> {
        for word in ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "PRAGMA"] {
            assert!(!statement.trim_start().to_uppercase().starts_with(word), "{statement}");
        }
        assert!(params.len() <= 100, "the object's SQLite binds at most 100 parameters");
        self.statements.set(self.statements.get() + 1);
        match self.fault.get() {
            Some((0, fault)) => {
                self.fault.set(None);
                assert!(fault == Fault::Fails, "a panic, as the test asked for");
                return Err(Broken("a failure, as the test asked for".to_owned()));
            }
            Some((left, fault)) => self.fault.set(Some((left - 1, fault))),
            None => {}
        }
        let broken = |error: rusqlite::Error| Broken(format!("{error}: {statement}"));
        let mut prepared = self.connection.prepare_cached(statement).map_err(broken)?;
        for (index, value) in params.iter().enumerate() {
            bind(&mut prepared, index + 1, value).map_err(broken)?;
        }
        let columns = prepared.column_count();
        let mut rows = prepared.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(broken)? {
            let value = |column| row.get_ref(column).map(read).map_err(broken);
            found.push(Row((0..columns).map(value).collect::<Result<_, _>>()?));
        }
        Ok(found)
    }
}

fn bind(
    statement: &mut rusqlite::CachedStatement<'_>,
    index: usize,
    value: &Value,
) -> rusqlite::Result<()> {
    match value {
        Value::Blob(bytes) => statement.raw_bind_parameter(index, bytes),
        Value::Int(n) => {
            assert!(n.unsigned_abs() < 1 << 53, "the object's SQLite takes no such number: {n}");
            statement.raw_bind_parameter(index, n)
        }
        Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
        Value::Real(n) => statement.raw_bind_parameter(index, n),
        Value::Text(text) => statement.raw_bind_parameter(index, text),
    }
}

fn read(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Null => Value::Null,
        ValueRef::Real(n) => Value::Real(n),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
    }
}

//! rusqlite behind the same trait as the object's SQLite, with the object's restrictions: no
//! statement that begins or ends a transaction, no integer beyond 2^53.

use std::cell::Cell;
use std::sync::Once;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tertulia::error::Broken;
use tertulia::sql::{Row, Sql, Value};

pub struct Sqlite {
    connection: Connection,
    pub statements: Cell<u64>,
    /// Counts down to a statement that goes wrong, and how.
    pub fault: Cell<Option<(u64, Fault)>>,
    /// Whatever statement is given this text goes wrong, every time.
    pub poison: Cell<Option<(&'static str, Fault)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Fails,
    Panics,
}

impl Sqlite {
    pub fn new() -> Self {
        CONFIGURED.call_once(|| {
            // SAFETY: nothing of SQLite runs yet: every connection of the tests is opened here.
            let set = unsafe {
                // Its count of bytes is behind a lock that all threads would wait for.
                rusqlite::ffi::sqlite3_config(rusqlite::ffi::SQLITE_CONFIG_MEMSTATUS, 0)
            };
            assert_eq!(set, rusqlite::ffi::SQLITE_OK);
        });
        let connection = Connection::open_in_memory().expect("SQLite opens in memory");
        connection.set_prepared_statement_cache_capacity(256);
        Self {
            connection,
            statements: Cell::new(0),
            fault: Cell::new(None),
            poison: Cell::new(None),
        }
    }

    /// A transaction as the edge has one: rolled back when the closure fails, or when the world
    /// says that the object died before its commit.
    pub fn transaction(
        &self,
        dies: bool,
        run: &mut dyn FnMut() -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.control("SAVEPOINT turn");
        let result = run();
        if result.is_err() || dies {
            self.control("ROLLBACK TO turn");
        }
        self.control("RELEASE turn");
        result
    }

    /// As the test asked for.
    fn go_wrong(&self, params: &[Value]) -> Result<(), Broken> {
        let poisoned = |text: &str| {
            params
                .iter()
                .any(|value| matches!(value, Value::Text(held) if held.contains(text)))
        };
        let fault = match (self.fault.get(), self.poison.get()) {
            (Some((0, fault)), _) => {
                self.fault.set(None);
                fault
            }
            (_, Some((text, fault))) if poisoned(text) => fault,
            (Some((left, fault)), _) => {
                self.fault.set(Some((left - 1, fault)));
                return Ok(());
            }
            (None, _) => return Ok(()),
        };
        assert!(fault == Fault::Fails, "a panic, as the test asked for");
        Err(Broken("a failure, as the test asked for".to_owned()))
    }

    fn control(&self, statement: &str) {
        let mut prepared = self
            .connection
            .prepare_cached(statement)
            .expect("it prepares");
        prepared.execute([]).expect("a savepoint begins and ends");
    }

    /// `deleteAll`.
    pub fn clear(&self) {
        let tables = self
            .run("SELECT name FROM sqlite_master WHERE type = 'table'", &[])
            .expect("the tables are listed");
        for table in tables {
            let name = table.text(0).expect("a name");
            self.connection
                .execute_batch(&format!("DROP TABLE {name}"))
                .expect("dropped");
        }
    }
}

impl Sql for Sqlite {
    fn run(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, Broken> {
        for word in ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "PRAGMA"] {
            let begins = statement.trim_start().get(..word.len());
            let begins = begins.is_some_and(|begins| begins.eq_ignore_ascii_case(word));
            assert!(!begins, "{statement}");
        }
        assert!(
            params.len() <= 100,
            "the object's SQLite binds at most 100 parameters"
        );
        self.statements.set(self.statements.get() + 1);
        self.go_wrong(params)?;
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

static CONFIGURED: Once = Once::new();

fn bind(
    statement: &mut rusqlite::CachedStatement<'_>,
    index: usize,
    value: &Value,
) -> rusqlite::Result<()> {
    match value {
        Value::Blob(bytes) => statement.raw_bind_parameter(index, bytes),
        Value::Int(n) => {
            assert!(
                n.unsigned_abs() < 1 << 53,
                "the object's SQLite takes no such number: {n}"
            );
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

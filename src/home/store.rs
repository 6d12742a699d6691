//! All SQL of the home. Rows in, rows out; decides nothing.

use crate::error::Broken;
use crate::grant::{Grant, Scopes};
use crate::id::{ConnId, UserId};
use crate::message::Json;
use crate::sql::{self, Row, Sql};
use crate::time::Timestamp;
use crate::wire::Protocol;

use super::connection::{Connection, Joined};

pub fn exists(sql: &dyn Sql) -> Result<bool, Broken> {
    sql::has_table(sql, "connection")
}

pub fn create(sql: &dyn Sql) -> Result<(), Broken> {
    sql::create(sql, include_str!("schema.sql"))
}

pub fn connections(sql: &dyn Sql) -> Result<Vec<Connection>, Broken> {
    let rows = sql.run(
        "SELECT conn, user, name, roles, guest, patterns, meta, connected_at, joined, silent
         FROM connection",
        &[],
    )?;
    rows.iter().map(connection).collect()
}

pub fn write(sql: &dyn Sql, connection: &Connection) -> Result<(), Broken> {
    let Connection {
        conn,
        grant,
        connected_at,
        joined,
        silent,
        ..
    } = connection;
    sql.run(
        "INSERT OR REPLACE INTO connection
            (conn, user, name, roles, guest, patterns, meta, connected_at, joined, silent)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            conn.to_string().into(),
            (&*grant.user).into(),
            grant.name.clone().into(),
            Json::of(&grant.roles).text().into(),
            grant.guest.into(),
            grant
                .rooms
                .as_ref()
                .map(|rooms| Json::of(rooms).text().to_owned())
                .into(),
            joined
                .as_ref()
                .and_then(|joined| joined.meta.as_ref())
                .map(Json::text)
                .into(),
            connected_at.0.into(),
            joined.is_some().into(),
            (*silent).into(),
        ],
    )?;
    Ok(())
}

pub fn delete(sql: &dyn Sql, conn: ConnId) -> Result<(), Broken> {
    sql.run(
        "DELETE FROM connection WHERE conn = ?",
        &[conn.to_string().into()],
    )
    .map(drop)
}

fn connection(row: &Row) -> Result<Connection, Broken> {
    let wrong = |what: &str| Broken(format!("a connection's row: {what}"));
    let conn = ConnId::parse(row.text(0)?).ok_or_else(|| wrong("conn"))?;
    let grant = Grant {
        user: UserId::parse(row.text(1)?).map_err(|_| wrong("user"))?,
        name: row.opt_text(2)?.map(str::to_owned),
        roles: serde_json::from_str(row.text(3)?).map_err(|_| wrong("roles"))?,
        guest: row.flag(4)?,
        // Scopes and expiry live on the socket.
        scopes: Scopes::default(),
        rooms: row
            .opt_text(5)?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|_| wrong("patterns"))?,
        expires_at: None,
    };
    let mut connection = Connection::new(Timestamp(row.uint(7)?), conn, grant, Protocol::Native);
    let meta = row.opt_text(6)?.map(Json::stored).transpose()?;
    connection.joined = row.flag(8)?.then_some(Joined { meta, cut: 0 });
    connection.silent = row.flag(9)?;
    Ok(connection)
}

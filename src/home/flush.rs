//! The end of a tick: frames, attachments and closes, in the order in which they leave.

use crate::link::Position;

use super::{Flush, Home};

impl Home {
    /// Hands out what the tick gathered: socket by socket, so that the runtime starts one pump
    /// for each (`performance.md` 2).
    pub fn flush(&mut self) -> Flush {
        let mut flush = Flush {
            sends: std::mem::take(&mut self.parting),
            attachments: Vec::new(),
            closes: std::mem::take(&mut self.closes),
        };
        let position = self.link.position;
        let moved = position != self.link.on_sockets;
        let stale = std::mem::take(&mut self.link.carriers_stale);
        let carriers = if stale {
            self.oldest()
        } else {
            self.link.carriers.clone()
        };
        for connection in self.connections.values_mut() {
            let conn = connection.conn;
            flush
                .sends
                .extend(connection.out.drain(..).map(|frame| (conn, frame)));
            let carries = carriers.contains(&conn);
            let late = carries && (moved || !self.link.carriers.contains(&conn));
            if connection.dirty || late {
                connection.dirty = false;
                connection.signs.frame_on_socket = connection.signs.last_frame;
                let carried: Option<Position> = position.filter(|_| carries);
                flush
                    .attachments
                    .push((conn, Self::attachment_of(connection, carried)));
            }
        }
        self.link.on_sockets = position;
        self.link.carriers = carriers;
        flush
    }
}

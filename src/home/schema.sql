-- One row a connection, written when it comes and deleted when it goes. What changes with every
-- sign of life is on the socket's attachment instead.
CREATE TABLE IF NOT EXISTS connection (
    conn TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    name TEXT,
    roles TEXT NOT NULL,
    guest INTEGER NOT NULL,
    patterns TEXT,
    meta TEXT,
    connected_at INTEGER NOT NULL,
    joined INTEGER NOT NULL,
    silent INTEGER NOT NULL
) WITHOUT ROWID;

-- The room's rows. One statement a paragraph; run in order at the room's first write.

-- One row. `seq` is written by retention only: the head is the larger of it and the log's last.
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,
    rev INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    counted_at INTEGER NOT NULL
);

-- `seq` is the only key: one row written a message. `id` is null where it follows from epoch and
-- seq; `origin` names the call that brought it, so that a repeated call is known.
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT,
    author TEXT,
    body TEXT,
    meta TEXT,
    corr TEXT,
    exclude TEXT,
    origin TEXT
);

-- One row a person and link. `told`: 0 joined, not yet told in a counted room; 1 told; 2 left, not
-- yet told. `gone_at` and `leaving` are set while the grace time runs.
CREATE TABLE IF NOT EXISTS member (
    user TEXT NOT NULL,
    link TEXT NOT NULL,
    n INTEGER NOT NULL,
    name TEXT,
    role TEXT,
    meta TEXT,
    status TEXT NOT NULL,
    status_text TEXT,
    joined_at INTEGER NOT NULL,
    gone_at INTEGER,
    leaving TEXT,
    told INTEGER NOT NULL,
    PRIMARY KEY (user, link)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS cursor (
    user TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS idempotency (
    sub TEXT NOT NULL,
    key TEXT NOT NULL,
    hash TEXT NOT NULL,
    answer TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (sub, key)
) WITHOUT ROWID;

-- The rows of a room's jobs. One statement a paragraph; run in order at the first enqueue.

-- `no` is the seq of the job's `message_queued`. `wakes_at` is set while a delayed or retrying job
-- waits for its time, `slot` while it holds the room's one place (offered or running),
-- `unclaimed_at` when an offer has been told and nobody has claimed it yet. `errors` is a JSON
-- array, an entry a failed attempt. `text` is what the present or last attempt said.
CREATE TABLE IF NOT EXISTS job (
    no INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    kind TEXT NOT NULL,
    input TEXT NOT NULL,
    prompt_seq INTEGER NOT NULL,
    sub TEXT NOT NULL,
    guest INTEGER NOT NULL,
    asker TEXT NOT NULL,
    role TEXT,
    key TEXT,
    corr TEXT,
    priority INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    retried_from TEXT,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    wakes_at INTEGER,
    slot INTEGER,
    offers INTEGER NOT NULL,
    unclaimed_at INTEGER,
    token INTEGER,
    lease_until INTEGER,
    model TEXT,
    errors TEXT NOT NULL,
    redriven INTEGER NOT NULL,
    finished_at INTEGER,
    text TEXT NOT NULL
);

-- One job at a time in a room: the database itself refuses a second.
CREATE UNIQUE INDEX IF NOT EXISTS job_slot ON job (slot) WHERE slot IS NOT NULL;

CREATE INDEX IF NOT EXISTS job_ready ON job (priority DESC, no)
    WHERE finished_at IS NULL AND wakes_at IS NULL AND slot IS NULL;

CREATE INDEX IF NOT EXISTS job_wakes ON job (wakes_at) WHERE wakes_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS job_ended ON job (finished_at) WHERE finished_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS job_guest ON job (created_at) WHERE guest = 1;

CREATE UNIQUE INDEX IF NOT EXISTS job_key ON job (sub, key) WHERE key IS NOT NULL;

-- Messages for the queue that are not confirmed yet. `attempt` and `offer` make the key one that is
-- never used again, so that a late confirmation is not taken for that of another message.
CREATE TABLE IF NOT EXISTS outbox (
    job INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    offer INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    PRIMARY KEY (job, attempt, offer)
) WITHOUT ROWID;

//! Every bound of the service that is not configured, with its arithmetic as `const` assertions.
//! What an operator may change stands in `config.rs`, with these as its outer limits.

use crate::time::Millis;

/// Names of rooms, event types and ids.
pub const NAME_MAX_CHARS: usize = 128;
/// User ids.
pub const USER_MAX_CHARS: usize = 255;
/// `name`, for show.
pub const SHOWN_NAME_MAX_CHARS: usize = 64;
/// Nesting of a frame or a body.
pub const JSON_MAX_DEPTH: usize = 64;
/// `meta` of a join, a status or a message.
pub const META_MAX_BYTES: usize = 2048;
/// A client's own correlation id, of a frame (`id`) or of a message (`corr`).
pub const CLIENT_ID_MAX_BYTES: usize = 128;
/// `key` and `Idempotency-Key`.
pub const KEY_MAX_BYTES: usize = 255;
/// A status word and the text beside it.
pub const STATUS_MAX_BYTES: usize = 32;
pub const STATUS_TEXT_MAX_BYTES: usize = 256;
/// Persons a publication may exclude.
pub const EXCLUDE_MAX: usize = 100;
/// Parameters of a query, and types that one history query may name.
pub const PARAMETERS_MAX: usize = 64;
pub const TYPES_MAX: usize = 32;
/// Messages in one incoming array.
pub const FRAME_BATCH_MAX: usize = 256;
/// A token, wherever it stands.
pub const TOKEN_MAX_BYTES: usize = 8192;
/// Roles and patterns of rooms of one token.
pub const ROLES_MAX: usize = 32;
pub const PATTERNS_MAX: usize = 100;
/// Keys of each sort that a configuration may hold, and the shortest shared secret.
pub const KEYS_MAX: usize = 16;
pub const SECRET_MIN_BYTES: usize = 16;
/// What a guest keeps to be the same person again.
pub const GUEST_KEY_MIN_CHARS: usize = 16;
pub const GUEST_KEY_MAX_CHARS: usize = 64;
/// A prompt of an AI job.
pub const PROMPT_MAX_BYTES: usize = 32 * 1024;
/// A body over HTTP beyond `MAX_MESSAGE_BYTES`: room for the fields around it.
pub const HTTP_ENVELOPE_BYTES: usize = 8 * 1024;

/// History: the page if none is asked for, the largest, and its bytes.
pub const PAGE_DEFAULT: usize = 50;
pub const PAGE_MAX: usize = 500;
pub const PAGE_MAX_BYTES: usize = 1 << 20;
/// Members in a join reply, and in a `members` event with `reset`.
pub const MEMBERS_SHOWN: usize = 100;
/// `last` of a join.
pub const LAST_MAX: usize = 100;

/// Above this many people a room counts instead of naming each, and again below the lower bound.
pub const COUNTED_ABOVE: u64 = 200;
pub const COUNTED_BELOW: u64 = 150;
/// Names in a `members` event, and its least distance from the one before.
pub const COUNTED_SHOWN: usize = 20;
pub const COUNTED_EVERY: Millis = Millis::SECOND;

/// Deadlines that may be late are put on this grid, so that they share alarms.
pub const GRID: Millis = Millis::SECOND;
/// A home with connections wakes at least so often.
pub const SWEEP_EVERY: Millis = Millis::MINUTE;
/// Grace for people whose home lost their sockets.
pub const LOST_GRACE: Millis = Millis(30_000);
/// `heartbeat {every_ms}`, and the TTL it gives: two and a half times that.
pub const HEARTBEAT_MIN: Millis = Millis::SECOND;
pub const HEARTBEAT_MAX: Millis = Millis(90_000);
/// `expiring` is told this long before the token ends.
pub const EXPIRING_BEFORE: Millis = Millis(60_000);
/// Distance between two rows of a cursor.
pub const CURSOR_EVERY: Millis = Millis::SECOND;
/// How long a key of an idempotent publish is kept.
pub const IDEMPOTENCY_TTL: Millis = Millis(24 * 60 * 60 * 1000);
/// A repeated call is known among so many of the log's last entries.
pub const DOUBLES_WINDOW: u64 = 1000;
/// Rows that lazy deletion takes in one tick.
pub const SWEEP_ROWS: u64 = 1000;

/// Inputs waiting for one tick; what comes beyond is refused.
pub const INBOX_MAX: usize = 10_000;
/// A connection whose frames are refused for their rate this often in a row is closed.
pub const RATE_STRIKES_MAX: u32 = 1000;
/// An attachment, of the 16 KiB the platform has.
pub const ATTACHMENT_MAX_BYTES: usize = 4096;
/// A home's position in one room, in an attachment: number of the room, epoch, seq, rev.
pub const POSITION_MAX_BYTES: usize = 24;
/// Statements kept as JavaScript strings: more than the core has; those made for a list of types
/// may be many.
pub const STATEMENTS_KEPT: usize = 256;
/// Sockets of one object, as the platform has it; configuration goes no higher.
pub const SOCKETS_MAX: usize = 32_768;
/// Rooms of one connection (`MAX_ROOMS_PER_CONNECTION` goes no higher).
pub const ROOMS_MAX: usize = 100;
/// Patterns, name and meta of a connection, together, in its row.
pub const CONNECTION_ROW_MAX_BYTES: usize = 2048;

/// Jobs waiting or running in one room.
pub const JOBS_WAITING_MAX: u64 = 1000;
/// Jobs of one list.
pub const JOBS_SHOWN: usize = 100;
/// Attempts of one job, and the longest it may be put off: what lies beyond is a mistake.
pub const ATTEMPTS_MAX: u32 = 25;
pub const JOB_DELAY_MAX: Millis = Millis(30 * 24 * 60 * 60 * 1000);
/// Why an attempt failed, as it is kept.
pub const JOB_ERROR_MAX_BYTES: usize = 1024;
/// All guests of a room may ask this many times what each may.
pub const GUESTS_TOGETHER: u64 = 10;
/// A provider's `Retry-After` is honoured up to here.
pub const RETRY_AFTER_MAX: Millis = Millis(60 * 60 * 1000);
/// The name of a model.
pub const MODEL_MAX_CHARS: usize = 128;
/// One event of a provider's stream, and the body of a provider's refusal.
pub const SSE_EVENT_MAX_BYTES: usize = 1 << 20;
pub const ERROR_BODY_MAX_BYTES: usize = 64 * 1024;
/// An answer; what a provider says beyond is cut.
pub const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// The room's messages a provider is given.
pub const CONTEXT_MESSAGES: usize = 200;
pub const CONTEXT_MAX_BYTES: usize = 64 * 1024;
/// The text of an answer becomes a row at most so often while it is generated.
pub const ANSWER_ROW_EVERY: Millis = Millis::SECOND;
/// Longest wait between two attempts.
pub const BACKOFF_MAX: Millis = Millis(5 * 60_000);
/// Ended jobs are kept for `GET` this long.
pub const JOB_KEPT: Millis = Millis(24 * 60 * 60 * 1000);

const _: () = assert!(ROOMS_MAX * POSITION_MAX_BYTES + 512 <= ATTACHMENT_MAX_BYTES);
const _: () = assert!(ATTACHMENT_MAX_BYTES <= 16_384);
// A row of the object's SQLite holds 2 MB.
const _: () = assert!(PAGE_MAX_BYTES < 2_000_000 && ANSWER_MAX_BYTES < 2_000_000);
const _: () = assert!(COUNTED_BELOW < COUNTED_ABOVE);
// A queue message is at most 128 KB; ours carries two names.
const _: () = assert!(NAME_MAX_CHARS * 4 < 128_000);
const _: () = assert!(MEMBERS_SHOWN <= PAGE_MAX && LAST_MAX <= PAGE_MAX);

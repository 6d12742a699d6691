//! What the hot paths of the core cost: time, and allocations where they matter. On the host, on
//! SQLite in memory: the figures compare versions with each other, not with the platform.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is not as expected ends the run"
)]

#[path = "../core/support/mod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use serde_json::json;
use support::world::World;
use tertulia::edge::object::Input;
use tertulia::edge::stub::{WorkerCall, WorkerOp};
use tertulia::home::{self, Frame};
use tertulia::http::Op;
use tertulia::id::{ConnId, EventType, JobId, RoomName, UserId};
use tertulia::link::{VERSION, WaiterNo};
use tertulia::message::{Author, Envelope, Join, Json, Reply};
use tertulia::time::{Millis, Timestamp};
use tertulia::wire::{Frame as WireFrame, Protocol};

#[global_allocator]
static ALLOC: AllocProfiler<Counted> = AllocProfiler::new(Counted);

static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, which also knows how much is in use.
struct Counted;

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

fn main() {
    bytes_per_connection();
    divan::main();
}

/// A room with so many people in it.
fn crowded(members: u64) -> World {
    let variables = [
        ("RATE_MESSAGES_PER_S", "0"),
        ("MAX_CONNECTIONS_PER_ROOM", "30000"),
        ("HISTORY_MAX", "1000"),
    ];
    let mut world = World::with(1, &variables);
    for n in 0..members {
        world
            .connect(&format!("user-{n}"), Join::default())
            .unwrap()
            .unwrap();
    }
    world
        .sockets
        .values_mut()
        .for_each(|socket| socket.sent.clear());
    world
}

fn broadcast() -> String {
    let body =
        json!({"text": "a hundred characters or so of what people say to each other in a room"});
    json!({"type": "broadcast", "id": "1", "payload": {"room": "plaza", "body": body}}).to_string()
}

/// One message through a whole turn: decoded, logged, encoded once, handed to every socket.
#[divan::bench(args = [1, 100, 1000], sample_count = 200)]
fn broadcast_to(bencher: Bencher<'_, '_>, members: u64) {
    let mut world = crowded(members);
    let text = broadcast();
    let mut turn = move || {
        world.now = world.now.plus(Millis(1));
        let frame = Frame::Text(text.clone());
        let input = Input::Home(home::Input::Frame {
            conn: ConnId(1),
            frame,
        });
        world.turn(&[input])
    };
    bencher.counter(ItemsCount::new(members)).bench_local(|| {
        let effects = turn();
        assert!(
            effects.flush.sends.len() as u64 > members,
            "everybody and the reply"
        );
        effects
    });
}

#[divan::bench]
fn decode_a_frame(bencher: Bencher<'_, '_>) {
    let text = broadcast();
    bencher.bench_local(|| {
        let mut incoming = Vec::with_capacity(1);
        Protocol::Native.decode(WireFrame::Text(divan::black_box(&text)), &mut incoming);
        incoming
    });
}

#[divan::bench]
fn encode_an_envelope(bencher: Bencher<'_, '_>) {
    let author = Author {
        user: UserId::parse("ana").unwrap(),
        name: Some("Ana".to_owned()),
        conn: Some(ConnId(7)),
        guest: false,
    };
    let body = Json::of(&json!({"text": "a hundred characters or so of what people say"}));
    let envelope = Envelope {
        from: Some(author),
        kind: EventType::message(),
        ..Envelope::event("message", Timestamp(1_790_000_000_000), body)
            .in_room(&RoomName::parse("plaza").unwrap())
    };
    bencher.bench_local(|| Protocol::Native.encode_envelope(divan::black_box(&envelope)));
}

fn new_job() -> Op {
    let new = json!({"job_create": {"kind": "ai.chat", "input": {"prompt": "why?"},
        "delay_ms": 0, "priority": 0}});
    serde_json::from_str(&new.to_string()).unwrap()
}

/// A room in which something was asked before, so that its tables are there.
fn asked_before() -> World {
    let mut world = crowded(10);
    let Some(Ok(Reply::Job(job))) = world.ask("ana", new_job()) else {
        panic!("no job");
    };
    world
        .ask("ana", Op::JobCancel { job: job.id })
        .unwrap()
        .unwrap();
    world
}

/// A question taken: two entries of the log, a row, and a message for the queue.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn enqueue(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(asked_before)
        .bench_local_values(|mut world| {
            world.ask("ana", new_job()).unwrap().unwrap();
            world
        });
}

/// A consumer gets a job, with the context it needs.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn claim(bencher: Bencher<'_, '_>) {
    let asked = || {
        let mut world = crowded(10);
        let job: JobId = match world.ask("ana", new_job()) {
            Some(Ok(Reply::Job(job))) => job.id,
            other => panic!("{other:?}"),
        };
        let call = WorkerCall {
            v: VERSION,
            room: world.room().clone(),
            op: WorkerOp::Claim { job },
        };
        (
            world,
            [Input::Worker {
                waiter: WaiterNo(1_000_000),
                call: Box::new(call),
            }],
        )
    };
    bencher
        .with_inputs(asked)
        .bench_local_values(|(mut world, claim)| {
            let effects = world.turn(&claim);
            assert_eq!(effects.verdicts.len(), 1);
            (world, effects)
        });
}

/// What a connection holds in memory: the machines of a home and a room with 1,000 of them, rows
/// and the test's own sockets not counted.
fn bytes_per_connection() {
    let mut world = crowded(1000);
    let before = LIVE_BYTES.load(Relaxed);
    world.hibernate();
    let held = before - LIVE_BYTES.load(Relaxed);
    println!(
        "memory of a connection in the core: {} bytes\n",
        held / 1000
    );
}

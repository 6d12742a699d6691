//! The home's end of a link, held against a room that repeats itself, or leaves something out:
//! what a link within one object never does, and one between objects may.

use std::rc::Rc;

use crate::config::Config;
use crate::error::Broken;
use crate::grant::{Grant, Scopes};
use crate::id::{Boot, ConnId, Epoch, RoomName, Seq, UserId};
use crate::link::{Batch, CallNo, Down, Item, Position, Rev, Up, WaiterNo};
use crate::message::{Envelope, Join, Joined, Json, Presence, Reply};
use crate::sql::{Row, Sql, Value};
use crate::time::Timestamp;
use crate::wire::Protocol;

use super::{Effect, Entering, Home, Input};

const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// Takes every statement and has no rows.
struct NoRows;

impl Sql for NoRows {
    fn run(&self, _: &str, _: &[Value]) -> Result<Vec<Row>, Broken> {
        Ok(Vec::new())
    }
}

fn at(seq: u64) -> Position {
    Position {
        epoch: Epoch(7),
        seq: Seq(seq),
        rev: Rev(1),
    }
}

/// A home with one connection, which the room let in at seq 0.
fn home() -> Home {
    home_cut(0)
}

/// The same, let in behind item `cut`.
fn home_cut(cut: u64) -> Home {
    let room = RoomName::parse("plaza").unwrap();
    let config = Rc::new(Config::read(&|_| None).unwrap());
    let (mut home, _) = Home::open(NOW, room.clone(), config, &[], &NoRows).unwrap();
    let grant = Grant {
        user: UserId::parse("ana").unwrap(),
        name: None,
        roles: Vec::new(),
        guest: false,
        scopes: Scopes::parse("admin"),
        rooms: None,
        expires_at: None,
    };
    let entering = Box::new(Entering {
        conn: ConnId(1),
        grant,
        protocol: Protocol::Native,
        join: Join::default(),
    });
    let waiter = WaiterNo(1);
    home.handle(NOW, &Input::Connect { waiter, entering }, &NoRows)
        .unwrap();
    let joined = Joined {
        room,
        epoch: Epoch(7),
        seq: Seq(0),
        count: 1,
        members: Vec::new(),
        recovered: None,
        missed: Vec::new(),
        answers: Vec::new(),
        presence: Presence::Each,
        rev: Rev(1),
        gap: None,
    };
    let answer = Ok(Reply::Joined(Box::new(joined)));
    let call = CallNo(1);
    let down = Down::Answered { call, cut, answer };
    home.handle(NOW, &Input::Down(down), &NoRows).unwrap();
    home.flush();
    home
}

/// Says the entries from `first` on, one an item, and returns what came out.
fn say(home: &mut Home, boot: u64, first: u64, count: u64) -> (usize, Vec<Effect>) {
    let room = RoomName::parse("plaza").unwrap();
    let item = |seq| {
        Item::to_all(Envelope {
            seq: Some(Seq(seq)),
            epoch: Some(Epoch(7)),
            ..Envelope::event("message", NOW, Json::null()).in_room(&room)
        })
    };
    let batch = Batch {
        boot: Boot(boot),
        first_n: first,
        prev: at(first - 1),
        position: at(first + count - 1),
        items: (first..first + count).map(item).collect(),
    };
    let effects = home
        .handle(NOW, &Input::Down(Down::Items(batch)), &NoRows)
        .unwrap();
    (home.flush().sends.len(), effects)
}

#[test]
fn what_comes_twice_is_taken_once() {
    let mut home = home();
    assert_eq!(say(&mut home, 1, 1, 3), (3, vec![]));
    assert_eq!(say(&mut home, 1, 1, 3), (0, vec![]));
    assert_eq!(say(&mut home, 1, 2, 4), (2, vec![]));
    assert_eq!(say(&mut home, 1, 6, 1), (1, vec![]));
}

#[test]
fn who_joined_behind_an_item_does_not_get_it() {
    let mut home = home_cut(2);
    assert_eq!(say(&mut home, 1, 1, 3), (1, vec![]));
}

#[test]
fn a_hole_is_asked_for_and_not_passed_over() {
    let mut home = home();
    say(&mut home, 1, 1, 1);
    let (sent, effects) = say(&mut home, 1, 4, 1);
    assert_eq!(sent, 0, "nothing before what is missing");
    let [Effect::Up(Up::Open { position, people })] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!((*position, people.len()), (Some(at(1)), 1));
    let position = at(4);
    let items = Vec::new();
    let resumed = Down::Resumed { position, items };
    home.handle(NOW, &Input::Down(resumed), &NoRows).unwrap();
    assert_eq!(say(&mut home, 1, 5, 1), (1, vec![]));
}

#[test]
fn another_life_of_the_room_is_no_loss_when_the_positions_agree() {
    let mut home = home();
    say(&mut home, 1, 1, 2);
    let room = RoomName::parse("plaza").unwrap();
    let event = Envelope::event("message", NOW, Json::null()).in_room(&room);
    let batch = Batch {
        boot: Boot(2),
        first_n: 1,
        prev: at(2),
        position: at(2),
        items: vec![Item::to_all(event)],
    };
    let effects = home.handle(NOW, &Input::Down(Down::Items(batch)), &NoRows);
    assert_eq!(effects.unwrap(), []);
    assert_eq!(home.flush().sends.len(), 1);
}

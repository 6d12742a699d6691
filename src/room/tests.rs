//! What only the inside of a room shows; its stories are in `tests/core/room`.

use crate::time::Millis;

use super::member::{People, Person, Told};
use crate::id::UserId;
use crate::link::Leaving;
use crate::sql::statements;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn people(count: usize) -> People {
    let one = |n| {
        let user = UserId::parse(&format!("u{n:03}")).unwrap();
        (user, Person::new(NOW, None, None))
    };
    (0..count).map(one).collect()
}

#[test]
fn a_room_counts_above_one_bound_and_until_below_the_other() {
    for (count, counted, counts) in [
        (200, false, false),
        (201, false, true),
        (201, true, true),
        (150, true, true),
        (149, true, false),
    ] {
        assert_eq!(people(count).counts(counted), counts, "{count} {counted}");
    }
}

#[test]
fn pages_of_members_join_up() {
    let all = people(25);
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = all.page(after.as_ref(), 10);
        assert_eq!(page.count, 25);
        seen.extend(page.members.into_iter().map(|member| member.user));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted());
    assert_eq!(
        all.page(None, 0).next,
        None,
        "the count alone has no next page"
    );
}

#[test]
fn whoever_left_and_is_not_told_of_yet_is_not_in() {
    let user = UserId::parse("u000").unwrap();
    let mut all = people(2);
    all.get_mut(&user).unwrap().told = Told::LeftNotYet;
    assert_eq!(
        (all.count(), all.first().len(), all.is_empty()),
        (1, 1, false)
    );
    assert!(all.has_untold());
}

#[test]
fn the_grace_is_that_of_how_one_went() {
    let grace = Millis(5_000);
    for (leaving, millis) in [
        (Leaving::Closed, 0),
        (Leaving::Dropped, 5_000),
        (Leaving::Expired, 0),
        (Leaving::Left, 0),
        (Leaving::Lost, 30_000),
        (Leaving::Removed, 0),
        (Leaving::Silent, 5_000),
    ] {
        assert_eq!(leaving.grace(grace), Millis(millis), "{leaving:?}");
        assert_eq!(Leaving::from_word(leaving.word()), Some(leaving));
    }
    assert_eq!(Leaving::Lost.grace(Millis(60_000)), Millis(60_000));
}

#[test]
fn a_schema_is_its_statements_without_their_comments() {
    let schema = "-- a; comment\nCREATE TABLE a (b);\n\n-- more\nCREATE TABLE c (d);\n";
    assert_eq!(
        statements(schema),
        ["CREATE TABLE a (b)", "CREATE TABLE c (d)"]
    );
    let own = statements(include_str!("schema.sql"));
    assert!(
        own.iter()
            .all(|one| one.starts_with("CREATE TABLE IF NOT EXISTS"))
    );
}

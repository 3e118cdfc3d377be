//! The dates of keys, without any store.

use keywright::{
    foundation::clock::{Span, Timestamp},
    keys::{KeyState, Policy, Schedule},
};

use super::{DAY, HOUR, MINUTE, at};

fn policy() -> Policy {
    Policy {
        rotation_interval: Span::from_days(90),
        publish_lead: Span::from_days(1),
        longest_max_age: Span::from_minutes(5),
        longest_token_lifetime: Span::from_minutes(15),
    }
}

fn full_life() -> Schedule {
    Schedule {
        published_at: at(10),
        signs_from: at(20),
        signs_until: Some(at(30)),
        gone_at: Some(at(40)),
    }
}

#[test]
fn a_key_goes_through_its_states_in_order_and_changes_at_the_very_second() {
    let schedule = full_life();
    let states = [
        (0, KeyState::Announced),
        (9, KeyState::Announced),
        (10, KeyState::Published),
        (19, KeyState::Published),
        (20, KeyState::Signing),
        (29, KeyState::Signing),
        (30, KeyState::Retiring),
        (39, KeyState::Retiring),
        (40, KeyState::Gone),
        (4_000, KeyState::Gone),
    ];
    for (second, state) in states {
        assert_eq!(schedule.state(at(second)), state, "at {second}");
        let published = (10..40).contains(&second);
        assert_eq!(schedule.is_published(at(second)), published, "at {second}");
    }
}

#[test]
fn a_key_without_a_successor_signs_on() {
    let schedule = Policy::first(at(0));
    assert_eq!(schedule.state(at(0)), KeyState::Signing);
    assert_eq!(schedule.state(at(1_000 * DAY)), KeyState::Signing);
    assert_eq!(schedule.next_change(at(0)), None);
}

/// Only entering and leaving the JWKS changes it; signing does not.
#[test]
fn the_next_change_is_when_the_jwks_changes() {
    let schedule = full_life();
    let changes = [(0, Some(10)), (9, Some(10)), (10, Some(40)), (25, Some(40)), (40, None)];
    for (second, change) in changes {
        assert_eq!(schedule.next_change(at(second)), change.map(at), "at {second}");
    }
}

#[test]
fn a_key_is_published_for_longer_than_any_jwks_was_cached() {
    for lead in [0, 1, 5 * 60, 24 * 3_600] {
        for max_age in [0, 1, 60, 5 * 60, 24 * 3_600] {
            let policy = Policy {
                publish_lead: Span::from_seconds(lead),
                longest_max_age: Span::from_seconds(max_age),
                ..policy()
            };
            assert!(policy.lead() > policy.longest_max_age, "{lead} {max_age}");
            assert!(policy.lead() >= policy.publish_lead, "{lead} {max_age}");
            // Before it is published every instance has had time to learn of it.
            assert!(policy.preparation() >= policy.lead().plus(Span::from_minutes(1)));
        }
    }
}

#[test]
fn a_successor_is_due_just_so_long_before_the_end_that_it_can_be_prepared() {
    let policy = policy();
    let newest = Policy::first(at(0));
    let begins = newest.signs_from.unix() - at(0).unix();
    let due = begins + 90 * DAY - policy.preparation().seconds();
    assert!(!policy.is_due(&newest, at(due - 1)));
    assert!(policy.is_due(&newest, at(due)));
    assert!(policy.is_due(&newest, at(400 * DAY)), "late is still due");
    let replaced = Schedule { signs_until: Some(at(begins + 90 * DAY)), ..newest };
    assert!(!policy.is_due(&replaced, at(due)), "it has a successor");
}

#[test]
fn a_key_stays_until_the_last_token_it_signed_has_expired() {
    for lifetime in [1, 60, 15 * 60, 86_400] {
        let lifetime = Span::from_seconds(lifetime);
        let policy = Policy { longest_token_lifetime: lifetime, ..policy() };
        let last_token: Timestamp = at(HOUR).plus(lifetime);
        let gone = policy.gone_after(at(HOUR));
        assert!(gone > last_token);
        assert!(gone <= last_token.plus(Span::from_minutes(10)), "not for ever either");
    }
    assert!(policy().gone_after(at(0)) > at(15 * MINUTE));
}

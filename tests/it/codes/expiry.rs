//! How long a code is good, and that nobody can guess one.

use std::collections::HashSet;

use keywright::{
    app::Ambient,
    foundation::opaque::{Opaque, OpaqueKind},
};

use super::{refused, start_with_code};
use crate::support::journey::redeem;

/// CD-10: one minute and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_for_one_minute() {
    for (seconds, status) in [(59, 200), (61, 400)] {
        let (app, _, code) = start_with_code("web").await;
        app.clock.advance(seconds);
        let answer = redeem(&app, "web", &code).await;
        assert_eq!(answer.status.as_u16(), status, "after {seconds} s: {answer:?}");
        if status == 400 {
            answer.assert_error(400, "invalid_grant");
            assert_eq!(refused(&app, "code_unknown").await, 1);
        }
        assert_eq!(app.count("grants").await, i64::from(status == 200));
    }
}

const DRAWN: u32 = 100_000;
/// Far beyond what chance does to 255 degrees of freedom: 15 standard deviations.
const CHI_SQUARE_LIMIT: f64 = 255.0 + 15.0 * 22.6;

/// How far 256 counts are from all being the same.
fn chi_square(counts: &[u32; 256], all: u32) -> f64 {
    let expected = f64::from(all) / 256.0;
    counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

/// CD-11: 256 bits from the system's generator, of which every byte is even and independent.
#[test]
fn secrets_are_drawn_evenly_and_never_twice() {
    let random = Ambient::default().random;
    let mut seen = HashSet::new();
    let mut by_position = vec![[0_u32; 256]; 32];
    let mut first_and_last = [0_u32; 256];
    for _ in 0..DRAWN {
        let opaque = Opaque::generate(OpaqueKind::AuthorizationCode, &*random);
        let bits = *opaque.bits();
        for (counts, byte) in by_position.iter_mut().zip(bits) {
            counts[usize::from(byte)] += 1;
        }
        first_and_last[usize::from(bits[0] & 0xf0 | bits[31] & 0x0f)] += 1;
        assert!(seen.insert(bits), "drawn twice");
    }
    for (position, counts) in by_position.iter().enumerate() {
        let found = chi_square(counts, DRAWN);
        assert!(found < CHI_SQUARE_LIMIT, "byte {position}: {found}");
    }
    assert!(chi_square(&first_and_last, DRAWN) < CHI_SQUARE_LIMIT);
    // The measure can fail: a byte that is always the same is far beyond the limit.
    let mut stuck = [0; 256];
    stuck[7] = DRAWN;
    assert!(chi_square(&stuck, DRAWN) > CHI_SQUARE_LIMIT);
}

/// CD-11: the text of a code carries all of its bits.
#[tokio::test(flavor = "multi_thread")]
async fn codes_of_one_session_have_nothing_in_common() {
    let (_app, mut browser, first) = start_with_code("web").await;
    let mut codes = HashSet::from([first]);
    for _ in 0..50 {
        let code = crate::support::journey::code_by_session(&mut browser, "web", &[]).await;
        assert_eq!((code.len(), &code[..6]), (54, "kw_ac_"));
        assert!(codes.insert(code));
    }
    let shared_prefix =
        |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let codes: Vec<&String> = codes.iter().collect();
    let longest = codes.windows(2).map(|pair| shared_prefix(pair[0], pair[1])).max().unwrap();
    assert!(longest < 6 + 8, "{longest}");
}

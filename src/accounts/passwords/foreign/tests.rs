//! The hashes were made by other programs: the C libraries of argon2 and bcrypt, and Python's
//! `hashlib`, which is OpenSSL.

use super::super::{HashingFault, Passwords, Verdict, tests::passwords};
use crate::foundation::secret::Secret;

const PASSWORD: &str = "correct horse battery";

const GOOD: [&str; 17] = [
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$sjZAS/zKltDMwLOIcaO6Ey2SH+0sM8MUSHmB1IVspPI",
    "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$kGrJd9O0oIAvKeeFod69r6izODj1D6ZXuCsvTA9DGtM",
    "$argon2d$v=19$m=256,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$URyVFT/h8xX1x3YbZ5m2rBbPlGLECdLs4x1znsc385U",
    "$2a$05$jVuBjYwSx5EKCuUfwueCquVvB9WLlxSWfGUAK9bJnq4RJY9/Ae1SS",
    "$2b$05$EUaa4XgD.loFNAFo1AQdJ.ZyPhlgPxR.mawbVPfC21QbZrWKj1cza",
    "$2y$05$EUaa4XgD.loFNAFo1AQdJ.ZyPhlgPxR.mawbVPfC21QbZrWKj1cza",
    "$pbkdf2-sha512$i=128,l=64$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$VEZeaj1o242W/xw8tEo8RMgy/OpiGqCXfA4e558IlrtFjb3ZYeO/e4aKKq7t5B9F0mBGOgz4Pkcatuzt3GHaRA",
    // With padding, as most programs write base64.
    "$pbkdf2-sha512$i=128$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$VEZeaj1o242W/xw8tEo8RMgy/OpiGqCXfA4e558IlrtFjb3ZYeO/e4aKKq7t5B9F0mBGOgz4Pkcatuzt3GHaRA==",
    "$pbkdf2-sha1$i=1000$AAECAwQFBgcICQoLDA0ODw$yr+bZKkEnTtGf3f18VjXM5CIxT9gt2kfzsoPOBHUS/Q",
    "$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$AhaeZ02AwPxykuhhDI8XvhQN8GKvmqM+qF6qvs/98I0",
    "$pbkdf2-sha384$i=1000$AAECAwQFBgcICQoLDA0ODw$+cYHvzRXuzm75Ih90Vq3mw4lUtho8DecGy8ceW8krUM",
    "$pbkdf2-sha256$1000$.//..//..//..//..//..//.$SWWfj3Nkgn8zpUni606gLf4zFe/BDjuIGzOiF5Rc14s",
    "$aspnet-identity$AAABAgMEBQYHCAkKCwwNDg/Kv5tkqQSdO0Z/d/XxWNczkIjFP2C3aR/Oyg84EdRL9A==",
    "$aspnet-identity$AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg9f4Mgt5W5f2Y0cIC8QN4OVqq4JhRMPut2SRld2wLKX9A==",
    "$aspnet-identity$AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg/F82/mx+OwWr0QHAWyuVqjzKcjb7NkOUseLhxacRgqVQ==",
    "$aspnet-identity$AQAAAAAAAAPoAAAAEAABAgMEBQYHCAkKCwwNDg/Kv5tkqQSdO0Z/d/XxWNczkIjFP2C3aR/Oyg84EdRL9A==",
    "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$hKGWL22WtdGfIbxEPAZ06BS2bWyYKuZIKvypfAlYOWk",
];

async fn verify(passwords: &Passwords, password: &str, stored: &str) -> Verdict {
    let verdict: Result<Verdict, HashingFault> =
        passwords.verify(&Secret::new(password), Some(stored)).await;
    verdict.unwrap()
}

/// PW-04, PW-08: a right password becomes one of our hashes; every answer takes the work of one.
#[tokio::test]
async fn every_kind_is_checked_hashed_anew_and_costs_one_of_our_hashes() {
    let passwords = passwords("1");
    for stored in GOOD {
        assert!(passwords.can_check(stored), "{stored}");
        let before = passwords.hashes();
        for wrong in
            ["correct horse batterz", "", "correct horse battery ", "Correct horse battery"]
        {
            assert_eq!(verify(&passwords, wrong, stored).await, Verdict::Wrong, "{stored}");
        }
        assert_eq!(passwords.hashes(), before + 4, "{stored}");
        let verdict = verify(&passwords, PASSWORD, stored).await;
        assert_eq!(passwords.hashes(), before + 5, "{stored}");
        let Verdict::RightAndRehashed(ours) = verdict else { panic!("{stored}: {verdict:?}") };
        assert!(ours.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{ours}");
        assert_eq!(verify(&passwords, PASSWORD, &ours).await, Verdict::Right);
    }
}

/// PW-06: bcrypt reads 72 bytes. Whoever used more of them gets in, and from then on all count.
#[tokio::test]
async fn bcrypt_reads_seventy_two_bytes_and_our_hash_all_of_them() {
    let passwords = passwords("1");
    let stored = "$2b$05$33QuM9bzlfUs98YClDIHguj5yUdmFyd6YhB3nNe.oMjGdQN.F.7Fq";
    let long = "x".repeat(80);
    assert_eq!(verify(&passwords, &"x".repeat(71), stored).await, Verdict::Wrong);
    let verdict = verify(&passwords, &long, stored).await;
    let Verdict::RightAndRehashed(ours) = verdict else { panic!("{verdict:?}") };
    assert_eq!(verify(&passwords, &long, &ours).await, Verdict::Right);
    assert_eq!(verify(&passwords, &"x".repeat(72), &ours).await, Verdict::Wrong);
    // C ends a text at the first zero byte: here nothing does.
    let stored = GOOD[4];
    assert_eq!(verify(&passwords, &format!("{PASSWORD}\0more"), stored).await, Verdict::Wrong);
    assert_eq!(verify(&passwords, "\0", stored).await, Verdict::Wrong);
}

/// Other systems hash what is typed, in whatever form the keyboard gave it.
#[tokio::test]
async fn a_foreign_hash_is_checked_as_typed_and_in_its_one_form() {
    let passwords = passwords("1");
    let composed = "$2b$05$OK1FH2hYXxZahsCFStoRTua8lQ67Dk9qd1FiKncl62JjTC1tKyY9S";
    for typed in ["corr\u{e9}ct horse", "corre\u{301}ct horse"] {
        let before = passwords.hashes();
        let verdict = verify(&passwords, typed, composed).await;
        assert!(matches!(verdict, Verdict::RightAndRehashed(_)), "{typed}: {verdict:?}");
        assert_eq!(passwords.hashes(), before + 1);
    }
}

/// PW-05: no hash makes us take memory or time beyond measure, and what cannot be read is nobody's
/// password, at the cost of one hash.
#[tokio::test]
async fn hostile_and_broken_hashes_cannot_be_used() {
    let passwords = passwords("1");
    assert!(passwords.can_check(&blob("00000001", "00002710", "00000010")));
    for stored in costly().into_iter().chain(broken()) {
        assert!(!passwords.can_check(&stored), "{stored}");
        let before = passwords.hashes();
        assert_eq!(verify(&passwords, PASSWORD, &stored).await, Verdict::Unusable, "{stored}");
        assert_eq!(passwords.hashes(), before + 1, "{stored}");
    }
}

const END: &str = "c29tZXNhbHRzb21lc2FsdA$sjZAS/zKltDMwLOIcaO6Ey2SH+0sM8MUSHmB1IVspPI";

/// The third format of ASP.NET Core Identity, of numbers in hex.
fn blob(function: &str, rounds: &str, salt: &str) -> String {
    use base64::Engine as _;
    let hex = format!("01{function}{rounds}{salt}{}", "ab".repeat(48));
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap())
        .collect();
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("$aspnet-identity${text}")
}

/// What would take more time or memory than a hash may.
fn costly() -> Vec<String> {
    vec![
        format!("$argon2id$v=19$m=4194304,t=1,p=1${END}"),
        format!("$argon2id$v=19$m=262144,t=9,p=1${END}"),
        format!("$argon2id$v=19$m=65536,t=4294967295,p=1${END}"),
        format!("$argon2id$v=19$m=65536,t=1,p=64${END}"),
        GOOD[3].replace("$05$", "$31$"),
        GOOD[3].replace("$05$", "$15$"),
        GOOD[6].replace("i=128", "i=4294967295"),
        GOOD[6].replace("i=128", "i=99999999999999999999"),
        blob("00000001", "ffffffff", "00000010"),
        GOOD[16].replace("ln=10", "ln=30"),
        GOOD[16].replace("ln=10", "ln=64"),
        GOOD[16].replace("r=8", "r=4294967295"),
        GOOD[16].replace("p=1", "p=4294967295"),
        format!("$pbkdf2-sha512$i=1${}$AAAA", "A".repeat(5_000)),
    ]
}

/// What cannot be read.
fn broken() -> Vec<String> {
    vec![
        String::new(),
        "$".to_owned(),
        "plain text".to_owned(),
        format!("$argon2id$v=19$m=256,t=2,p=0${END}"),
        format!("$argon2x$v=19$m=256,t=2,p=1${END}"),
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHRzb21lc2FsdA".to_owned(),
        GOOD[3].replace("$05$", "$03$"),
        GOOD[3].replace("$05$", "$5$"),
        GOOD[3].replace("$2a$", "$2$"),
        GOOD[3].replace("$2a$", "$2x$"),
        GOOD[3].split_at(59).0.to_owned(),
        format!("{}$", GOOD[3]),
        GOOD[6].replace("i=128", "i=0"),
        GOOD[6].replace("i=128", "i=-1"),
        GOOD[6].replace("l=64", "l=63"),
        GOOD[6].replace("l=64", "l=64,x=1"),
        GOOD[6].replace("-sha512", "-md5"),
        "$pbkdf2-sha512$i=128$c2FsdA$c2hvcnQ".to_owned(),
        "$pbkdf2-sha512$i=128$$VEZeaj1o242W/xw8tEo8RMgy/OpiGqCXfA4e558Ilrs".to_owned(),
        blob("00000003", "00002710", "00000010"),
        blob("00000001", "00000000", "00000010"),
        blob("00000001", "00002710", "ffffffff"),
        blob("00000001", "00002710", "00000000"),
        "$aspnet-identity$AQ==".to_owned(),
        "$aspnet-identity$AAAA".to_owned(),
        "$aspnet-identity$".to_owned(),
        GOOD[16].replace("ln=10", "ln=0"),
        "\u{fc}\u{fc}".to_owned(),
        "$2b$05$\u{fc}\u{fc}\u{fc}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
    ]
}

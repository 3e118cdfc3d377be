//! The sample people: who they are, and accounts for them at the sample company.

use serde::Serialize;

use crate::{
    app::App,
    foundation::names::{email_key, username_key},
    foundation::{
        ids::UserId,
        random::{self, Random},
        secret::Secret,
    },
    store::users::{self, AccountKind, User},
};

/// Somebody who can sign in.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SamplePerson {
    pub(super) username: &'static str,
    pub(super) password: String,
    pub(super) name: &'static str,
    pub(super) groups: &'static [&'static str],
}

const PEOPLE: [(&str, &str, &[&str]); 3] = [
    ("anna", "Anna Lindqvist", &["staff", "admins"]),
    ("ben", "Ben Okafor", &["staff"]),
    ("chris", "Chris Moreau", &["guests"]),
];

/// The people, each with a password of this very run.
pub(super) fn all(random: &dyn Random) -> Vec<SamplePerson> {
    let person = |(username, name, groups)| SamplePerson {
        username,
        password: readable_password(random),
        name,
        groups,
    };
    PEOPLE.into_iter().map(person).collect()
}

/// Two made-up words that can be read out and typed: 36 random bits, for one afternoon.
fn readable_password(random: &dyn Random) -> String {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 4] = b"aeio";
    let letter = |alphabet: &[u8], at: u8| {
        alphabet.get(usize::from(at) % alphabet.len()).copied().map_or('a', char::from)
    };
    let syllable = |byte: &u8| [letter(CONSONANTS, *byte >> 4), letter(VOWELS, *byte & 0x03)];
    let bytes = random::bytes::<6>(random);
    let words: Vec<String> =
        bytes.chunks(3).map(|word| word.iter().flat_map(syllable).collect()).collect();
    words.join("-")
}

/// Makes their accounts.
pub(super) async fn enrol(app: &App, people: &[SamplePerson]) -> anyhow::Result<()> {
    for person in people {
        let password_hash = app.passwords.hash(&Secret::new(person.password.as_str())).await?;
        let email = format!("{}@company.example", person.username);
        let now = app.now();
        let user = User {
            id: UserId::generate(app.random(), now),
            username_key: username_key(person.username),
            username: person.username.to_owned(),
            email_key: Some(email_key(&email)),
            email_verified: Some(true),
            email: Some(email),
            name: Some(person.name.to_owned()),
            picture: None,
            password_hash: Some(password_hash),
            groups: person.groups.iter().copied().collect(),
            disabled_at: None,
            created_at: now,
            updated_at: now,
            email_issuer: None,
            roles: std::iter::empty::<&str>().collect(),
            kind: AccountKind::Person,
            locale: None,
            own_picture: None,
            password_temporary: false,
        };
        let added = users::insert(&mut app.connection().await?, &user).await?;
        anyhow::ensure!(added, "{} is there already", person.username);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::random::OsRandom;

    #[test]
    fn passwords_are_typeable_and_differ() {
        let people = all(&OsRandom);
        for person in &people {
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(person.password.chars().all(plain), "{}", person.password);
            assert_eq!(person.password.len(), 13);
        }
        assert_ne!(people[0].password, people[1].password);
        assert_ne!(people[0].password, all(&OsRandom)[0].password);
    }
}

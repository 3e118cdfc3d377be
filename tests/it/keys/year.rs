//! A year of rotation, driven by the clock: four instances, eight apps, and everything that
//! happens to them. Every app honours `max-age` and nothing else.

use std::collections::{BTreeSet, HashMap};

use keywright::{
    foundation::{
        clock::{Span, Timestamp},
        ids::KeyId,
    },
    keys::KeyError,
    protocol::jwa::SigningAlgorithm,
    store::signing_keys,
};
use tempfile::TempDir;

use super::{ALL, DAY, HOUR, Instance, MINUTE, Settings, at, kid, kids};

/// Chance that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_in(&mut self, sides: i64) -> bool {
        self.roll(sides) == 0
    }

    fn pick(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(i64::try_from(length).unwrap())).unwrap()
    }
}

/// An instance, whose clock is a little off, and whose database is away at times.
struct Node {
    instance: Instance,
    skew: i64,
    cut_off_until: i64,
    settings: Settings,
}

/// An app that verifies tokens.
#[derive(Default)]
struct Consumer {
    keys: BTreeSet<KeyId>,
    cached_until: i64,
}

struct Token {
    text: String,
    kid: KeyId,
    expires: i64,
}

struct World {
    dice: Dice,
    folder: TempDir,
    now: i64,
    nodes: Vec<Node>,
    consumers: Vec<Consumer>,
    tokens: Vec<Token>,
    /// The ids in each JWKS, by its entity tag: reading it anew each time is what takes longest.
    read: HashMap<String, BTreeSet<KeyId>>,
    /// Until when steps are short, because a rotation is under way.
    busy_until: i64,
    tally: Tally,
}

/// What really happened, so that the year cannot have been a quiet one.
#[derive(Debug, Default)]
struct Tally {
    signed: u32,
    fetched: u32,
    refused: u32,
    cut_off: u32,
    restarted: u32,
    by_hand: u32,
    signers: BTreeSet<KeyId>,
}

impl Node {
    fn clock(&self, now: i64) -> Timestamp {
        at(now + self.skew)
    }

    fn is_cut_off(&self, now: i64) -> bool {
        now < self.cut_off_until
    }

    /// Whether a load balancer that asks `/readyz` lets requests through. Being cut off from the
    /// database makes an instance unready too, but not before the next look at it.
    fn answers(&self, now: i64) -> bool {
        self.instance.keys.is_ready(self.clock(now))
    }
}

impl World {
    async fn begin() -> Self {
        let mut world = Self {
            dice: Dice(0x9e37_79b9_7f4a_7c15),
            folder: tempfile::tempdir().unwrap(),
            now: 0,
            nodes: Vec::new(),
            consumers: (0..8).map(|_| Consumer::default()).collect(),
            tokens: Vec::new(),
            read: HashMap::new(),
            busy_until: 0,
            tally: Tally::default(),
        };
        for _ in 0..4 {
            let node = world.new_node().await;
            world.nodes.push(node);
        }
        world
    }

    /// An instance as a deployment might configure it today.
    async fn new_node(&mut self) -> Node {
        let mut settings = Settings::default();
        // With no lead of its own the honest minimum is all there is.
        settings.keys.publish_lead = Span::ZERO;
        let max_ages = [Span::from_minutes(1), Span::from_minutes(5), Span::from_hours(1)];
        let lifetimes = [Span::from_minutes(5), Span::from_minutes(15), Span::from_hours(8)];
        // Nobody begins with the longest, so that they rise in the middle of the year.
        let known = if self.now < 100 * DAY { 2 } else { 3 };
        settings.keys.jwks_max_age = max_ages[self.dice.pick(known)];
        settings.token_lifetime = lifetimes[self.dice.pick(known)];
        let skew = self.dice.roll(121) - 60;
        let url = format!("sqlite:{}", self.folder.path().join("keywright.db").display());
        let clock = at(self.now + skew);
        let instance = Instance::try_start(&url, &settings, clock).await.unwrap();
        Node { instance, skew, cut_off_until: 0, settings }
    }

    /// Moments at which something changes by the schedule of a key.
    async fn dates(&self) -> Vec<i64> {
        let mut connection = self.nodes[0].instance.store.connection().await.unwrap();
        let rows = signing_keys::list(&mut connection).await.unwrap();
        let zero = at(0).unix();
        let dates = rows.iter().flat_map(|row| {
            let due = row.signs_from.plus(Span::from_days(90)).minus(Span::from_minutes(75));
            [Some(row.published_at), Some(row.signs_from), row.signs_until, row.gone_at, Some(due)]
        });
        dates.flatten().map(|date| date.unix() - zero).collect()
    }

    /// Goes on to the next moment: irregular, dense where something happens.
    async fn step(&mut self) {
        let stride = if self.now < self.busy_until {
            1 + self.dice.roll(150)
        } else {
            1 + self.dice.roll(9 * HOUR)
        };
        let mut next = self.now + stride;
        for date in self.dates().await {
            for offset in [-301, -61, -1, 0, 1, 61] {
                if date + offset > self.now && date + offset < next {
                    next = date + offset;
                    self.busy_until = self.busy_until.max(date + 10 * MINUTE);
                }
            }
        }
        self.now = next;
    }

    /// Every instance looks every second, so all of them have looked by now, but for those whose
    /// database is away. Making keys is a matter of chance: any of them may be first.
    async fn look_after_keys(&mut self) {
        let first = self.dice.pick(self.nodes.len());
        let mut made = false;
        for turn in 0..self.nodes.len() {
            let node = &self.nodes[(first + turn) % self.nodes.len()];
            if node.is_cut_off(self.now) {
                continue;
            }
            node.instance.refresh(node.clock(self.now)).await;
            assert!(node.answers(self.now), "an instance in good health cannot sign");
        }
        let node = &self.nodes[first];
        if !node.is_cut_off(self.now) {
            let rotation = node.instance.keys.rotation();
            made = rotation.tend(&node.instance.store, node.clock(self.now)).await.unwrap();
        }
        if made {
            self.rotation_begins();
        }
    }

    /// A rotation is under way: the next hours go by in short steps, often with somebody cut off.
    fn rotation_begins(&mut self) {
        self.busy_until = self.now + 75 * MINUTE;
        if self.dice.one_in(2) {
            self.cut_off(2 * HOUR);
        }
    }

    fn cut_off(&mut self, at_most: i64) {
        let node = self.dice.pick(self.nodes.len());
        self.nodes[node].cut_off_until = self.now + MINUTE + self.dice.roll(at_most);
        self.tally.cut_off += 1;
    }

    /// What happens to a deployment now and then.
    async fn mishaps(&mut self) {
        if self.dice.one_in(80) {
            self.cut_off(8 * HOUR);
        }
        if self.dice.one_in(60) {
            let node = self.dice.pick(self.nodes.len());
            self.nodes[node] = self.new_node().await;
            self.tally.restarted += 1;
        }
        if self.dice.one_in(500) {
            let alg = ALL[self.dice.pick(ALL.len())];
            let node = &self.nodes[0];
            if node.instance.rotate(alg, node.clock(self.now)).await.is_some() {
                self.tally.by_hand += 1;
                self.rotation_begins();
            }
        }
    }

    /// One of the instances that answer.
    fn an_instance(&mut self) -> usize {
        let up: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].answers(self.now)).collect();
        assert!(!up.is_empty(), "nobody answers");
        up[self.dice.pick(up.len())]
    }

    fn sign(&mut self) {
        // Any instance is asked, and one that cannot know its keys has to refuse.
        let (node, alg) = (self.dice.pick(self.nodes.len()), ALL[self.dice.pick(ALL.len())]);
        let node = &self.nodes[node];
        match node.instance.sign(alg, node.clock(self.now)) {
            Ok(text) => {
                let (kid, life) = (kid(&text), node.settings.token_lifetime.seconds());
                self.tally.signed += 1;
                self.tally.signers.insert(kid.clone());
                self.tokens.push(Token { text, kid, expires: self.now + life });
            }
            Err(KeyError::Stale) => {
                assert!(node.is_cut_off(self.now));
                self.tally.refused += 1;
            }
            Err(error) => panic!("{alg} at {}: {error}", self.now),
        }
    }

    /// An app verifies a token with the keys that it has; it fetches them when they are too old.
    fn verify(&mut self, consumer: usize, token: usize) {
        if self.consumers[consumer].cached_until <= self.now {
            let node = self.an_instance();
            let node = &self.nodes[node];
            let (jwks, max_age) = node.instance.keys.jwks(node.clock(self.now));
            assert!(max_age <= node.settings.keys.jwks_max_age);
            let cached_until = self.now + max_age.seconds();
            let keys = self.read.entry(jwks.etag.clone()).or_insert_with(|| kids(&jwks)).clone();
            self.consumers[consumer] = Consumer { keys, cached_until };
            self.tally.fetched += 1;
        }
        let (keys, token) = (&self.consumers[consumer].keys, &self.tokens[token]);
        assert!(
            keys.contains(&token.kid),
            "unknown kid {} at {:?}, good for {} s more; known: {keys:?}",
            token.kid,
            at(self.now),
            token.expires - self.now,
        );
    }

    fn use_tokens(&mut self) {
        for _ in 0..3 {
            self.sign();
        }
        let now = self.now;
        self.tokens.retain(|token| token.expires > now);
        for token in 0..self.tokens.len() {
            let consumer = self.dice.pick(self.consumers.len());
            self.verify(consumer, token);
        }
        for node in self.nodes.iter().filter(|node| !node.is_cut_off(now)) {
            // Signatures are dear, so not all of them: the youngest and the oldest.
            for token in self.tokens.first().into_iter().chain(self.tokens.last()) {
                let good = node.instance.verifies(&token.text, node.clock(now));
                assert!(good, "a living token was refused at {:?}", at(now));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_year_of_rotation_nobody_ever_meets_an_unknown_key() {
    let mut world = World::begin().await;
    while world.now < 365 * DAY {
        world.step().await;
        world.look_after_keys().await;
        world.mishaps().await;
        world.use_tokens();
    }
    let tally = &world.tally;
    // At least four rotations of each algorithm, and the first keys.
    assert!(tally.signers.len() >= 5 * ALL.len(), "{tally:?}");
    assert!(tally.signed > 3_000 && tally.fetched > 1_000, "{tally:?}");
    assert!(tally.refused > 0 && tally.cut_off > 10, "{tally:?}");
    assert!(tally.restarted > 10 && tally.by_hand > 0, "{tally:?}");
    one_line_of_succession(&world).await;
}

/// Each key took over exactly when its predecessor ended, and nobody made one twice.
async fn one_line_of_succession(world: &World) {
    for alg in ALL {
        let rows = world.nodes[0].instance.rows(*alg).await;
        for pair in rows.windows(2) {
            assert_eq!(pair[1].generation, pair[0].generation + 1, "{alg}");
            assert_eq!(pair[0].signs_until, Some(pair[1].signs_from), "{alg}");
            assert!(pair[0].gone_at > pair[0].signs_until, "{alg}");
        }
        let open = rows.iter().filter(|row| row.signs_until.is_none()).count();
        assert_eq!(open, 1, "{alg}: {:?}", SigningAlgorithm::as_str(*alg));
    }
}

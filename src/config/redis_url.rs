//! Where Redis is: one server, a server that sentinels choose, or a cluster.

use url::Url;

use crate::foundation::secret::Secret;

/// The way to Redis. Every part may hold a password.
#[derive(Clone, Debug)]
pub enum RedisUrl {
    /// `redis://` or `rediss://`: this server.
    Server(Secret),
    /// `redis+sentinel://`: whichever server the sentinels call the master.
    Sentinels {
        /// The address of each sentinel.
        sentinels: Vec<Secret>,
        /// What the sentinels call the servers.
        master: String,
        /// User, password and database at the servers, as the address of a server that nobody asks.
        server: Secret,
    },
    /// `redis+cluster://`: a cluster, found by these of its nodes.
    Cluster(Vec<Secret>),
}

/// How it is written.
pub(super) const FORMS: &str = "\"redis://HOST:PORT/DB\", \"redis+sentinel://HOST:PORT,HOST:PORT/MASTER\" or \
                         \"redis+cluster://HOST:PORT,HOST:PORT\", each with \"rediss\" for TLS";

impl RedisUrl {
    /// Whether a scheme is one of these.
    pub fn is_scheme(scheme: &str) -> bool {
        let kind = scheme.strip_prefix("rediss").or_else(|| scheme.strip_prefix("redis"));
        matches!(kind, Some("" | "+sentinel" | "+cluster"))
    }

    /// Reads an address; what is wrong with it where it is none. Nothing of it is repeated, because it
    /// may hold a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("has no \"://\"")?;
        let (plain, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if !Self::is_scheme(scheme) {
            return Err("is of an unknown kind");
        }
        if kind.is_empty() {
            return address(text).map(Self::Server);
        }
        let group = Group::read(plain, rest)?;
        if kind == "sentinel" {
            return group.sentinels();
        }
        if !group.path.is_empty() || group.query.is_some() {
            return Err("names a database; a cluster has only one");
        }
        let nodes = group.hosts.iter().map(|host| group.at(group.user, host));
        nodes.collect::<Result<_, _>>().map(Self::Cluster)
    }
}

/// `[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][/PATH][?QUERY]`.
struct Group<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Group<'a> {
    fn read(scheme: &'a str, rest: &'a str) -> Result<Self, &'static str> {
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err("names a host that is empty");
        }
        Ok(Self { scheme, user, hosts, path, query })
    }

    fn at(&self, user: Option<&str>, host: &str) -> Result<Secret, &'static str> {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        address(&format!("{}://{user}{host}", self.scheme))
    }

    fn sentinels(&self) -> Result<RedisUrl, &'static str> {
        let (master, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        if master.is_empty() {
            return Err(
                "does not say what the sentinels call the master: .../MASTER or .../MASTER/DB",
            );
        }
        if master.contains(['@', '#', ',']) {
            return Err("has a \"/\" in its user or password that is not percent-encoded as %2F");
        }
        let user = sentinel_user(self.query.unwrap_or_default())?;
        let at = |host: &&str| {
            let port = if host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']')) {
                ""
            } else {
                ":26379"
            };
            self.at(user.as_deref(), &format!("{host}{port}"))
        };
        let sentinels = self.hosts.iter().map(at).collect::<Result<_, _>>()?;
        let server = self.at(self.user, &format!("master.invalid/{database}"))?;
        Ok(RedisUrl::Sentinels { sentinels, master: master.to_owned(), server })
    }
}

/// User and password at the sentinels, which may have others than the servers.
fn sentinel_user(query: &str) -> Result<Option<String>, &'static str> {
    let (mut name, mut password) = ("", None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sentinel_user", value)) => name = value,
            Some(("sentinel_password", value)) => password = Some(value),
            _ => return Err("has a parameter other than sentinel_user and sentinel_password"),
        }
    }
    Ok(password.map(|password| format!("{name}:{password}")))
}

/// The address of one server.
fn address(text: &str) -> Result<Secret, &'static str> {
    let url = Url::parse(text).ok();
    let url = url.ok_or("has a host, port, user or password that is malformed")?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host");
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err("has a database that is no number");
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(secrets: &[Secret]) -> Vec<&str> {
        secrets.iter().map(Secret::expose).collect()
    }

    #[test]
    fn one_server_is_taken_as_it_is() {
        for text in ["redis://r", "rediss://user:p%40ss@r:6380/2", "redis://:pw@[::1]:6379/0"] {
            let RedisUrl::Server(url) = RedisUrl::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(url.expose(), text);
        }
    }

    #[test]
    fn sentinels_have_a_port_and_perhaps_a_password_of_their_own() {
        let text = "rediss+sentinel://kw:pw@a,b:5000,[::1]/main/3?sentinel_password=s%20p";
        let RedisUrl::Sentinels { sentinels, master, server } = RedisUrl::parse(text).unwrap()
        else {
            panic!("{text}")
        };
        let expected =
            ["rediss://:s%20p@a:26379", "rediss://:s%20p@b:5000", "rediss://:s%20p@[::1]:26379"];
        assert_eq!(shown(&sentinels), expected);
        assert_eq!((master.as_str(), server.expose()), ("main", "rediss://kw:pw@master.invalid/3"));
        let RedisUrl::Sentinels { sentinels, server, .. } =
            RedisUrl::parse("redis+sentinel://a/main").unwrap()
        else {
            panic!()
        };
        assert_eq!(shown(&sentinels), ["redis://a:26379"]);
        assert_eq!(server.expose(), "redis://master.invalid/");
    }

    #[test]
    fn a_cluster_is_its_nodes() {
        let RedisUrl::Cluster(nodes) =
            RedisUrl::parse("redis+cluster://u:p@a:7000,b:7001").unwrap()
        else {
            panic!()
        };
        assert_eq!(shown(&nodes), ["redis://u:p@a:7000", "redis://u:p@b:7001"]);
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_it() {
        for (text, why) in [
            ("redis:6379", "no \"://\""),
            ("redis+ring://a", "unknown kind"),
            ("redis+sentinel://a,b", "does not say what the sentinels call"),
            ("redis+sentinel://a,,b/main", "host that is empty"),
            ("redis+sentinel://a/main/x", "no number"),
            ("redis+sentinel://u:1/secret@a,b", "not percent-encoded"),
            ("redis+sentinel://a/main?password=secret", "a parameter other than"),
            ("redis+cluster://secret@a/1", "a cluster has only one"),
            ("redis+cluster://a:port", "malformed"),
            ("redis://", "host"),
        ] {
            let said = RedisUrl::parse(text).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret"), "{text}: {said}");
        }
    }
}

//! What a registry wants before it answers: challenges, and the token for anonymous pulls.

use serde::Deserialize;
use ureq::http::header::WWW_AUTHENTICATE;
use ureq::http::{HeaderMap, Uri};

use super::url::{self, Origin};
use crate::error::{Error, Kind, Result};

/// One challenge of a `WWW-Authenticate` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// `bearer`, `basic`, …, in lower case.
    pub scheme: String,
    /// Its parameters; names in lower case.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Every challenge in `headers`: there may be several headers, and several challenges in one.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| Parser { rest: v }.challenges()).collect()
}

/// RFC 9110's grammar: `scheme name=value, name="quoted, value", scheme …`.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn challenges(mut self) -> Vec<Challenge> {
        let mut found: Vec<Challenge> = Vec::new();
        loop {
            self.skip(|c| c == ',' || c.is_ascii_whitespace());
            let word = self.token();
            if word.is_empty() {
                return found;
            }
            self.skip(|c| c == ' ');
            match (self.rest.strip_prefix('='), found.last_mut()) {
                (Some(rest), Some(challenge)) => {
                    self.rest = rest.trim_start_matches(' ');
                    challenge.parameters.push((word, self.value()));
                }
                // A parameter that belongs to nothing: what follows can't be trusted either.
                (Some(_), None) => return found,
                (None, _) => found.push(Challenge { scheme: word, parameters: Vec::new() }),
            }
        }
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(unwanted);
    }

    fn token(&mut self) -> String {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~/:".contains(c));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word.to_ascii_lowercase()
    }

    fn value(&mut self) -> String {
        match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted),
            None => {
                let end = self.rest.find([',', ' ']).unwrap_or(self.rest.len());
                let (value, rest) = self.rest.split_at(end);
                self.rest = rest;
                value.to_owned()
            }
        }
    }

    fn quoted<'a>(&mut self, quoted: &'a str) -> String
    where
        Self: 'a,
    {
        let (mut value, mut escaped) = (String::new(), false);
        for (i, c) in quoted.char_indices() {
            match c {
                '"' if !escaped => {
                    self.rest = &self.rest[1 + i + 1..];
                    return value;
                }
                '\\' if !escaped => escaped = true,
                _ => {
                    value.push(c);
                    escaped = false;
                }
            }
        }
        self.rest = "";
        value
    }
}

/// Where to ask for a token, as the registry at `registry` demands it, for pulling `repository`.
pub fn token_url(challenges: &[Challenge], registry: &Uri, repository: &str) -> Result<Uri> {
    let host = registry.authority().map_or("", |a| a.as_str());
    let refuse = |kind, why: &str| Error::new(kind, "log in to registry", host).because(why);
    let bearer = challenges.iter().find(|c| c.scheme == "bearer");
    let Some(bearer) = bearer else {
        return Err(refuse(Kind::Unauthorized, "it wants a user name and password"));
    };
    let realm = bearer.get("realm").and_then(url::parse);
    let realm = realm.ok_or_else(|| refuse(Kind::Registry, "it names no proper address to ask for a token"))?;
    check_realm(&realm, registry).map_err(|why| refuse(Kind::Registry, why))?;
    let scope = match bearer.get("scope") {
        Some(scope) if !scope.is_empty() => scope.to_owned(),
        _ => format!("repository:{repository}:pull"),
    };
    let mut query: Vec<String> =
        bearer.get("service").map(|s| format!("service={}", url::encode(s))).into_iter().collect();
    query.extend(scope.split(' ').map(|s| format!("scope={}", url::encode(s))));
    let separator = if realm.query().is_some() { '&' } else { '?' };
    url::parse(&format!("{realm}{separator}{}", query.join("&")))
        .ok_or_else(|| refuse(Kind::Registry, "it names no proper address to ask for a token"))
}

/// A realm must not lead from TLS to plain text, nor from a foreign registry into this machine. (Any other host may
/// give tokens, as it does for Docker Hub; what it gives goes to the registry alone.)
fn check_realm(realm: &Uri, registry: &Uri) -> Result<(), &'static str> {
    let (Some(realm), Some(registry)) = (Origin::of(realm), Origin::of(registry)) else {
        return Err("it names no proper address to ask for a token");
    };
    if realm.is_plain() && !registry.is_plain() {
        return Err("it wants its token to be fetched without TLS");
    }
    if realm.is_inside() && !registry.is_inside() {
        return Err("it wants its token to be fetched from this machine");
    }
    Ok(())
}

/// What a token server answers.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The token in a token server's answer.
pub fn token(body: &[u8]) -> Option<String> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = answer.token.filter(|t| !t.is_empty()).or(answer.access_token)?;
    // It goes into a header: nothing in it may end the line.
    let clean = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    clean.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for v in values {
            headers.append(WWW_AUTHENTICATE, v.parse().unwrap());
        }
        challenges(&headers)
    }

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn challenges_are_told_apart() {
        let found = read(&[
            r#"Basic realm="a, b", Bearer realm="https://auth.io/token?x=1",service="r \"q\".io" , scope=repository:a/b:pull"#,
            "Negotiate",
        ]);
        let schemes: Vec<&str> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["basic", "bearer", "negotiate"]);
        assert_eq!(found[0].get("realm"), Some("a, b"));
        assert_eq!(found[1].get("service"), Some("r \"q\".io"));
        assert_eq!(found[1].get("scope"), Some("repository:a/b:pull"));
        assert_eq!(read(&[r#"Bearer realm="https://auth.io"#])[0].get("realm"), Some("https://auth.io"));
        assert!(read(&["", ",,", "=x", "realm=\"x\""]).is_empty());
    }

    #[test]
    fn the_token_is_asked_where_the_realm_says() {
        let found = read(&[r#"Bearer realm="https://auth.io/token?a=1",service="r io""#]);
        let url = token_url(&found, &uri("https://r.io/v2/"), "team/app").unwrap();
        assert_eq!(url.to_string(), "https://auth.io/token?a=1&service=r%20io&scope=repository:team/app:pull");
    }

    #[test]
    fn hostile_realms_are_refused() {
        let from = |realm: &str, registry: &str| {
            let found = read(&[&format!("Bearer realm=\"{realm}\"")]);
            token_url(&found, &uri(registry), "a").map(drop).map_err(|e| e.kind())
        };
        for realm in
            ["http://auth.io/t", "https://127.0.0.1/t", "https://localhost/t", "file:///etc", "https://u:p@a.io/", "x"]
        {
            assert_eq!(from(realm, "https://r.io/"), Err(Kind::Registry), "{realm}");
        }
        // Nor does one that speaks without TLS choose who is asked from in here.
        for realm in ["http://[::ffff:127.0.0.1]/t", "http://169.254.169.254/latest", "http://0.0.0.0:1/t"] {
            assert_eq!(from(realm, "http://r.io/"), Err(Kind::Registry), "{realm}");
        }
        assert_eq!(from("https://auth.io/t", "http://r.io/"), Ok(()));
        assert_eq!(from("http://127.0.0.1:1/t", "http://127.0.0.1:2/"), Ok(()));
        let basic = token_url(&read(&["Basic realm=x"]), &uri("https://r.io/"), "a");
        assert_eq!(basic.unwrap_err().kind(), Kind::Unauthorized);
    }

    #[test]
    fn a_token_cant_end_its_header() {
        assert_eq!(token(br#"{"access_token":"abc"}"#).as_deref(), Some("abc"));
        assert_eq!(token(br#"{"token":"a\r\nX-Evil: 1"}"#), None);
        assert_eq!(token(b"{}"), None);
    }
}

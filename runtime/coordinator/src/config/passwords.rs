//! Passwords in addresses: where others can read them, and how one from a file gets there.

use super::{BrokerUrl, Options};

impl Options {
    /// Says where a password stands that others can read. `flagged`: whether an option was given on the command line,
    /// which every user of the machine can read as long as the process runs.
    pub fn warn_of_passwords(&self, flagged: impl Fn(&str) -> bool) {
        for (option, url, instead) in [
            (
                "broker_url",
                &self.broker_url,
                "--broker-password-file FILE",
            ),
            ("database", &self.database, "--database-password-file FILE"),
        ] {
            let flag = option.replace('_', "-");
            if url.as_deref().is_some_and(has_password) && flagged(option) {
                tracing::warn!(
                    "OPEN SECRET: the password in --{flag} stands in the list of processes; use {instead}, or the \
                     environment (SANDERLING_{})",
                    option.to_uppercase()
                );
            }
        }
        let file = self.config.as_deref();
        let written = file.and_then(|path| Options::read(path).ok());
        if let (Some(path), Some(written)) = (file, written)
            && [&written.broker_url, &written.database]
                .into_iter()
                .flatten()
                .any(|url| has_password(url))
        {
            crate::secrets::warn_where_open(path);
        }
    }
}

impl BrokerUrl {
    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        let address: Result<std::net::IpAddr, _> = self.host.parse();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Whether a password stands in a URL.
fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority
        .rsplit_once('@')
        .and_then(|(login, _)| login.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty())
}

/// A database's URL with the password in its place.
pub fn with_password(url: &str, password: &str) -> String {
    let escaped = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((login, place)) => {
                let user = login.split_once(':').map_or(login, |(user, _)| user);
                format!("{scheme}://{user}:{}@{place}", escaped(password))
            }
            None => url.to_owned(),
        },
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_seen_and_put_there() {
        for (url, has) in [
            ("mqtt://host", false),
            ("mqtts://user@host:1", false),
            ("mqtt://user:@host", false),
            ("mqtt://user:pw@host", true),
            ("postgres://u:p@w@host/db", true),
            ("postgres://host:5432/db", false),
        ] {
            assert_eq!(has_password(url), has, "{url}");
        }
        assert_eq!(
            with_password("postgres://me@host:1/db", "p@ss:w/d"),
            "postgres://me:p%40ss%3Aw%2Fd@host:1/db"
        );
        assert_eq!(
            with_password("postgres://me:old@host/db", "new"),
            "postgres://me:new@host/db"
        );
    }
}

//! Who may talk to the broker: logins, made and taken away while it runs.
//!
//! A password is 256 random bits in hex. Nobody guesses one, so a single SHA-256 keeps it as well as a
//! slow digest would, and ten thousand robots that come back at once do not cost the broker ten
//! thousand slow digests. The digest covers the user name, so two users never share one.
//!
//! A login that is renewed, moved to another group, or taken away is over for the connections that came in with it: each
//! holds its [`Term`], may do nothing once that is over, and is ended by the broker.

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use sanderling_wire::Name;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::clock::now_ms;
use crate::decide::access::{Robot, may_publish, may_subscribe};
use crate::decide::mosquitto;
use crate::secrets;
use crate::store::credentials::{self, Credential};
use crate::store::{Store, StoreError};
use crate::tls::{Authority, TlsError};

/// The user name of the coordinator itself.
pub const COORDINATOR: &str = "sanderling-coordinator";

/// Why a login was not made or files not written.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// That name is the coordinator's.
    #[error(
        "names that begin with {COORDINATOR} are the coordinator's own; give the robot another one"
    )]
    Reserved,
    /// There is a login of that name.
    #[error("{0} is enrolled; --renew gives it a new password, --revoke takes it away")]
    Enrolled(Name),
    /// A file cannot be written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See there.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

#[derive(Debug)]
struct Login {
    hash: [u8; 32],
    group: Option<Name>,
    /// Dropped with the login, which ends the terms of those who came in with it.
    term: watch::Sender<()>,
}

impl Login {
    fn new(hash: [u8; 32], group: Option<Name>) -> Login {
        let (term, _) = watch::channel(());
        Login { hash, group, term }
    }
}

/// How long a login holds that somebody came in with.
#[derive(Clone, Debug)]
pub struct Term(watch::Receiver<()>);

impl Term {
    /// Whether the login was renewed, moved, or taken away since.
    pub fn is_over(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits until it is.
    pub async fn over(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// The logins that count at this moment.
#[derive(Debug)]
pub struct Access {
    fleet: Name,
    store: Store,
    /// The coordinator's own password at the embedded broker: new with each start, and nowhere else.
    own: String,
    /// Never ends while this lives.
    own_term: watch::Sender<()>,
    logins: RwLock<HashMap<Name, Login>>,
}

/// Who a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// This coordinator, which may do anything.
    Own,
    /// Somebody with a coordinator's login, who may do anything but take this coordinator's place.
    Coordinator,
    /// A robot.
    Robot(Robot),
}

impl Access {
    /// Reads the logins.
    pub async fn open(store: Store, fleet: Name) -> Result<Access, AccessError> {
        let mut tx = store.read().await?;
        let list = credentials::list(&mut tx).await?;
        drop(tx);
        let logins = list
            .into_iter()
            .map(|c| (c.user, Login::new(c.hash, c.group)));
        Ok(Access {
            fleet,
            own: random()?,
            own_term: watch::channel(()).0,
            logins: RwLock::new(logins.collect()),
            store,
        })
    }

    /// The coordinator's login at the embedded broker.
    pub fn own_login(&self) -> (String, String) {
        (COORDINATOR.to_owned(), self.own.clone())
    }

    /// The coordinator's client id at the embedded broker, which nobody else may have.
    pub fn own_client_id(&self) -> String {
        format!("{COORDINATOR}-{}", self.fleet)
    }

    /// Who it is and for how long, if the password is right.
    pub fn login(&self, user: &str, password: &[u8]) -> Option<(Who, Term)> {
        let given = hash(user, password);
        if user == COORDINATOR && given == hash(user, self.own.as_bytes()) {
            return Some((Who::Own, Term(self.own_term.subscribe())));
        }
        let name = Name::new(user).ok()?;
        let logins = self.logins.read().unwrap_or_else(PoisonError::into_inner);
        // Digests are compared, so the time that it takes says nothing about the password.
        let login = logins.get(&name).filter(|login| login.hash == given)?;
        let who = match login.group.clone() {
            Some(group) => Who::Robot(Robot {
                device: name,
                group,
            }),
            None => Who::Coordinator,
        };
        Some((who, Term(login.term.subscribe())))
    }

    fn is_enrolled(&self, user: &Name) -> bool {
        let logins = self.logins.read().unwrap_or_else(PoisonError::into_inner);
        logins.contains_key(user)
    }

    /// Whether this client may publish there.
    pub fn may_publish(&self, who: &Who, topic: &str) -> bool {
        match who {
            Who::Own | Who::Coordinator => true,
            Who::Robot(robot) => may_publish(&self.fleet, robot, topic),
        }
    }

    /// Whether this client may read there.
    pub fn may_subscribe(&self, who: &Who, filter: &str) -> bool {
        match who {
            Who::Own | Who::Coordinator => true,
            Who::Robot(robot) => may_subscribe(&self.fleet, robot, filter),
        }
    }

    /// Makes a login and gives its password, which is kept nowhere. `group`: the robot's; none: a
    /// coordinator at a broker that somebody else runs.
    pub async fn enroll(
        &self,
        user: &Name,
        group: Option<&Name>,
        renew: bool,
    ) -> Result<String, AccessError> {
        if group.is_some() && user.as_str().starts_with(COORDINATOR) {
            return Err(AccessError::Reserved);
        }
        if !renew && self.is_enrolled(user) {
            return Err(AccessError::Enrolled(user.clone()));
        }
        let password = random()?;
        let mut salt = [0; 12];
        getrandom::fill(&mut salt).map_err(|error| AccessError::Random(error.to_string()))?;
        let credential = Credential {
            user: user.clone(),
            group: group.cloned(),
            hash: hash(user, password.as_bytes()),
            mosquitto: mosquitto::digest(&password, &salt),
            created_ms: now_ms(),
        };
        let mut tx = self.store.write().await?;
        credentials::set(&mut tx, &credential).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let login = Login::new(credential.hash, credential.group);
        let mut logins = self.logins.write().unwrap_or_else(PoisonError::into_inner);
        logins.insert(credential.user, login);
        Ok(password)
    }

    /// Takes a login away; true when there was one. The connections that came in with it end.
    pub async fn revoke(&self, user: &Name) -> Result<bool, AccessError> {
        let mut tx = self.store.write().await?;
        let there = credentials::remove(&mut tx, user).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let mut logins = self.logins.write().unwrap_or_else(PoisonError::into_inner);
        logins.remove(user);
        Ok(there)
    }

    /// Every login.
    pub async fn list(&self) -> Result<Vec<Credential>, AccessError> {
        let mut tx = self.store.read().await?;
        Ok(credentials::list(&mut tx).await?)
    }

    /// Writes the files with which Mosquitto keeps the same rules; gives the folder. With `password`, the
    /// coordinator's login is written too, for its owner alone.
    pub async fn write_mosquitto(
        &self,
        folder: &Path,
        authority: &Authority,
        names: &[String],
        password: Option<&str>,
    ) -> Result<PathBuf, AccessError> {
        let list = self.list().await?;
        let failed = |path: &Path, error| AccessError::File {
            path: path.display().to_string(),
            error,
        };
        secrets::passage(folder).map_err(|error| failed(folder, error))?;
        let owner = std::fs::metadata(folder).map_err(|error| failed(folder, error))?;
        let file = |name: &str, text: &str, secret: bool| {
            let path = folder.join(name);
            crate::tls::write(&path, text, secret).map_err(|error| failed(&path, error))?;
            // Mosquitto reads them again when they changed, and the folder may be its own by now. Who may not give files
            // away has no need to: nobody could have given away the folder.
            let _ = chown(&path, Some(owner.uid()), Some(owner.gid()));
            Ok::<_, AccessError>(())
        };
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let users = list.iter().map(|c| (&c.user, c.mosquitto.as_str()));
        file("passwords", &mosquitto::password_file(users), true)?;
        let robots = list
            .iter()
            .filter_map(|c| Some((&c.user, c.group.as_ref()?)));
        let others = list.iter().filter(|c| c.group.is_none()).map(|c| &c.user);
        file(
            "acl",
            &mosquitto::acl_file(&self.fleet, robots, others),
            true,
        )?;
        let (certificate, key) = authority.server(names)?;
        file("ca.pem", authority.certificate(), false)?;
        file("server.pem", &certificate, false)?;
        file("server.key", &key, true)?;
        let configuration = mosquitto::configuration(&folder.display().to_string(), 8883);
        file("mosquitto.conf", &configuration, false)?;
        if let Some(password) = password {
            file("coordinator.password", &format!("{password}\n"), true)?;
        }
        Ok(folder)
    }
}

fn hash(user: &str, password: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"sanderling 1 broker password\0")
        .chain_update(user.as_bytes())
        .chain_update([0])
        .chain_update(password)
        .finalize()
        .into()
}

/// 256 random bits in hex.
fn random() -> Result<String, AccessError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| AccessError::Random(error.to_string()))?;
    Ok(sanderling_wire::Digest(bytes).to_string())
}

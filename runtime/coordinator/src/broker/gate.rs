//! Who may connect to the embedded broker, and what a connection may do: one gate for each connection.
//!
//! The broker checks topics of messages and not those of wills, and a client id that connects again takes over the
//! connection that has it. So both are checked here, at the connection: a robot's client id is its user name, its will is
//! its own birth, and the coordinator's client id is the coordinator's, whether the broker asks for logins or not.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::packet::publish::PublishPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use tokio::sync::watch;

use crate::access::{Access, Term, Who};
use crate::doors::Place;

/// What was found out about a connection when it said who it is.
#[derive(Clone)]
pub struct Seated {
    /// The client's id.
    pub client: String,
    /// Who it is, and how long that holds; none: the broker takes anybody.
    pub login: Option<(Who, Term)>,
    /// Its will.
    pub will: Option<PublishPacket>,
}

/// The gate of one connection.
pub struct Gate {
    access: Arc<Access>,
    /// Whether everybody needs a login.
    logins: bool,
    place: Arc<Place>,
    seated: OnceLock<Seated>,
    tell: watch::Sender<bool>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Gate {
    /// For a connection that has said nothing yet.
    pub fn new(access: Arc<Access>, logins: bool, place: Arc<Place>) -> Gate {
        Gate {
            access,
            logins,
            place,
            seated: OnceLock::new(),
            tell: watch::channel(false).0,
        }
    }

    /// Whether it has said who it is.
    pub fn is_seated(&self) -> bool {
        self.seated.get().is_some()
    }

    /// What is known of the connection, once it has said who it is.
    pub async fn seated(&self) -> Seated {
        let mut told = self.tell.subscribe();
        loop {
            if let Some(seated) = self.seated.get() {
                return seated.clone();
            }
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether the connection may do anything as who it said it is; the word of one that may not is not taken.
    fn allows(&self, what: impl FnOnce(&Access, &Who) -> bool) -> bool {
        match self.seated.get() {
            Some(Seated {
                login: Some((who, term)),
                ..
            }) => !term.is_over() && what(&self.access, who),
            Some(Seated { login: None, .. }) => true,
            None => false,
        }
    }

    /// A will is published when its connection has ended, perhaps because its login did. Its topic was looked at before.
    fn is_will(&self, topic: &str) -> bool {
        let will = self.seated.get().and_then(|seated| seated.will.as_ref());
        will.is_some_and(|will| will.topic_name == topic)
    }

    fn judge(
        &self,
        connect: &ConnectPacket,
    ) -> Result<Option<(Who, Term)>, (ReasonCode, &'static str)> {
        let refuse = |why| Err((ReasonCode::NotAuthorized, why));
        let login = match (&connect.username, &connect.password) {
            (Some(user), Some(password)) => self.access.login(user, password),
            _ => None,
        };
        if connect.client_id == self.access.own_client_id() {
            return match login {
                Some((Who::Own, _)) => Ok(login),
                _ => refuse("that client id is the coordinator's own"),
            };
        }
        if !self.logins {
            return Ok(None);
        }
        let Some((who, term)) = login else {
            return match &connect.username {
                None => refuse("a login is needed; `sanderling enroll` makes one"),
                Some(_) => Err((
                    ReasonCode::BadUsernameOrPassword,
                    "no such login; `sanderling enroll` makes one",
                )),
            };
        };
        if let Who::Robot(robot) = &who {
            if connect.client_id != robot.device.as_str() {
                return refuse("a robot's client id is its name");
            }
            let will = connect.will.as_ref();
            if will.is_some_and(|will| !self.access.may_publish(&who, &will.topic)) {
                return refuse("a robot's will is one of its own topics");
            }
        }
        Ok(Some((who, term)))
    }
}

impl AuthProvider for Gate {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        from: SocketAddr,
    ) -> Answer<'a, mqtt5::error::Result<AuthResult>> {
        Box::pin(async move {
            let user = connect.username.as_deref();
            let login = match self.judge(connect) {
                Ok(login) => login,
                Err((code, why)) => {
                    let who = user.unwrap_or("a client without a name");
                    tracing::warn!("the broker refuses {who} from {from}: {why}");
                    return Ok(AuthResult::fail_with_reason(code, why));
                }
            };
            let will = connect.will.as_ref().map(|will| {
                let (topic, payload) = (will.topic.clone(), will.payload.clone());
                let mut last = PublishPacket::new(topic, payload, will.qos);
                last.retain = will.retain;
                last
            });
            let seated = Seated {
                client: connect.client_id.clone(),
                login,
                will,
            };
            // A second CONNECT on one connection is against the protocol and changes nothing here.
            let _ = self.seated.set(seated);
            self.tell.send_replace(true);
            self.place.busy();
            Ok(match user {
                Some(user) => AuthResult::success_with_user(user),
                None => AuthResult::success(),
            })
        })
    }

    fn authorize_publish<'a>(
        &'a self,
        _: &str,
        _: Option<&'a str>,
        topic: &'a str,
    ) -> Answer<'a, bool> {
        let may = self.allows(|access, who| access.may_publish(who, topic)) || self.is_will(topic);
        Box::pin(async move { may })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        _: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        let may = self.allows(|access, who| access.may_subscribe(who, filter));
        Box::pin(async move { may })
    }
}

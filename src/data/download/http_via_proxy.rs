//! Plain http through an http proxy, as curl and browsers do it: the proxy gets the whole URL in the
//! request's first line (RFC 9112, 3.2.2). ureq asks for a tunnel instead, which most proxies allow only for
//! port 443.

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Error};

/// Returns a client for one request for `target`, which it sends to `proxy`. `config` names no proxy.
pub(super) fn agent(config: Config, target: &Uri, proxy: &Uri) -> Agent {
    let authority = target.authority().map_or("", |authority| authority.as_str());
    let connector =
        Forwarding { inner: DefaultConnector::new(), origin: format!("http://{authority}") };
    Agent::with_parts(config, connector, ProxyAddress(proxy.clone(), DefaultResolver::default()))
}

/// Resolves every host to the proxy's address.
#[derive(Debug)]
struct ProxyAddress(Uri, DefaultResolver);

impl Resolver for ProxyAddress {
    fn resolve(
        &self,
        _: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.1.resolve(&self.0, config, timeout)
    }
}

#[derive(Debug)]
struct Forwarding {
    inner: DefaultConnector,
    origin: String,
}

impl Connector<()> for Forwarding {
    type Out = Forwarded;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Forwarded>, Error> {
        let inner = self.inner.connect(details, chained)?;
        Ok(inner.map(|inner| Forwarded { inner, origin: Some(self.origin.clone()) }))
    }
}

/// A connection whose first request gets its origin, `http://host`, before the path.
#[derive(Debug)]
struct Forwarded {
    inner: Box<dyn Transport>,
    origin: Option<String>,
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let Some(origin) = self.origin.take() else {
            return self.inner.transmit_output(amount, timeout);
        };
        let output = self.inner.buffers().output();
        let longer = amount + origin.len();
        let path = output[..amount].iter().position(|&byte| byte == b' ').map(|space| space + 1);
        let Some(path) = path.filter(|_| longer <= output.len()) else {
            return Err(Error::ConnectProxyFailed("the address is too long".to_owned()));
        };
        output.copy_within(path..amount, path + origin.len());
        output[path..path + origin.len()].copy_from_slice(origin.as_bytes());
        self.inner.transmit_output(longer, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    // For one request: the next would need its origin, too.
    fn is_open(&mut self) -> bool {
        false
    }
}

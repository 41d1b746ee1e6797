//! A port with an end of its own. Pingora would close all of them at the same moment.

use crate::jobs::upgrade::{Sockets, Table};
use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::listening::Service;

pub struct Port<A> {
    pub service: Service<A>,
    /// True once it is to close.
    pub closed: ShutdownWatch,
    /// Sockets that listen already, this port's among them.
    pub sockets: Sockets,
    /// Where all sockets are known, for a successor.
    pub table: Table,
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> pingora::services::Service for Port<A> {
    async fn start_service(
        &mut self,
        known: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        if let Some(known) = &known {
            let addresses = self.service.listen_addresses().unwrap_or_default();
            for (address, socket) in self.sockets.iter() {
                if addresses.contains(address) {
                    known.lock().add(address.clone(), *socket);
                }
            }
            self.table.set(known);
        }
        self.service
            .start_service(known, self.closed.clone(), listeners_per_fd)
            .await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.listen_addresses()
    }
}
